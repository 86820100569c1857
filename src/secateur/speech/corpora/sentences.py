"""A little grammar per language: plain sentences for synthetic speech, in any number, from a seed.

A grammar lists the alternatives of each slot, separated by `|`; `{slot}` in an alternative stands for another slot.
`sentence` is where a derivation starts. Nouns carry their articles, so every derivation agrees.
"""

import random
import re
from collections.abc import Collection, Iterator, Mapping

Grammar = Mapping[str, list[str]]
SLOT = re.compile(r"\{(\w+)\}")

GRAMMARS = {
    "en": """
        sentence: {order} {thing} {place} | please {order} {thing} {time} | {person} {did} {thing} {place} {time} |
            {person} {goes} {goal} {time} | we need {number} {things} for {purpose} |
            {person} {did} {number} {things} | where did {person} leave {thing} |
            the weather is {weather} {place} {time} | {time} {person} will {order} {thing}
        order: open | close | clean | move | paint | repair | find | bring | check | lift | sell | wash | cover |
            hide
        thing: the door | the window | the kitchen table | the old lamp | the red chair | the garden gate |
            the heavy box | the blue bottle | the mirror | the carpet | the piano | the ladder | the basket |
            the bicycle | the small boat | the green bench | the cupboard | the oven | the suitcase |
            the wooden shelf | the clock | the umbrella | the blanket | the printer | the radio
        things: apples | candles | tickets | eggs | spoons | flowers | pencils | bottles | potatoes | stamps | keys
        place: in the hall | near the river | behind the house | under the stairs | beside the station |
            on the roof | in the office | next to the library | at the corner | across the street | in the village |
            by the lake | outside the museum | inside the barn
        time: this morning | before noon | after dinner | on monday | on thursday | on saturday | at seven o'clock |
            tomorrow night | every week | in the evening | at midnight | in january | in october | next summer |
            twice a day
        person: my brother | our neighbour | the teacher | the young doctor | your cousin | the baker | the captain |
            the farmer | his grandmother | her uncle | the painter | a good friend | the driver
        did: sold | painted | found | forgot | borrowed | washed | bought | carried | lost | counted
        goes: walks | drives | runs | travels | returns | hurries
        goal: to the market | to the harbour | to the mountains | to school | to the airport | to the old bridge |
            to the theatre | to the hospital | to the beach | back home
        number: two | three | four | five | six | eight | nine | eleven | twelve | fifteen | twenty | thirty
        purpose: the party | the wedding | the journey | lunch | the children | the winter | the guests
        weather: cold | warm | windy | dry | cloudy | pleasant | terrible
        """,
    "fr": """
        sentence: {order} {thing} {place} | s'il vous plaît {order} {thing} {time} |
            {person} {did} {thing} {place} {time} | {person} {goes} {goal} {time} |
            il nous faut {number} {things} pour {purpose} | {person} {did} {number} {things} |
            où se trouve {thing} de {owner} | le temps est {weather} {place} {time} | {time} {person} {goes} {goal}
        order: ouvrez | fermez | nettoyez | déplacez | peignez | réparez | cherchez | apportez | vérifiez | vendez |
            lavez | couvrez | cachez | regardez
        thing: la porte | la fenêtre | la table | la vieille lampe | la chaise rouge | le portail du jardin |
            la lourde caisse | la bouteille bleue | le miroir | le tapis | le piano | l'échelle | le panier |
            le vélo | le petit bateau | le banc vert | l'armoire | le four | la valise | l'étagère | l'horloge |
            le parapluie | la couverture | l'imprimante | la radio
        things: pommes | bougies | billets | œufs | cuillères | fleurs | crayons | bouteilles | oranges | timbres |
            clés
        place: dans le couloir | près de la rivière | derrière la maison | sous l'escalier | devant la gare |
            sur le toit | dans le bureau | à côté de la bibliothèque | au coin de la rue | en face du musée |
            dans le village | au bord du lac | dans la grange
        time: ce matin | avant midi | après le dîner | lundi soir | jeudi | samedi matin | à sept heures |
            demain soir | chaque semaine | le soir | à minuit | en janvier | en octobre | cet été |
            deux fois par jour
        person: mon frère | notre voisin | la maîtresse | le jeune médecin | ton cousin | le boulanger |
            le capitaine | la fermière | sa grand-mère | mon oncle | le peintre | une bonne amie | le chauffeur
        owner: mon frère | notre voisin | ton cousin | sa grand-mère | mon oncle | la fermière
        did: a vendu | a peint | a trouvé | a oublié | a emprunté | a lavé | a acheté | a porté | a perdu | a compté
        goes: marche | roule | court | voyage | retourne | se dépêche
        goal: vers le marché | vers le port | jusqu'à la montagne | vers l'école | jusqu'à l'aéroport |
            vers le vieux pont | jusqu'au théâtre | vers l'hôpital | jusqu'à la plage
        number: deux | trois | quatre | cinq | six | huit | neuf | onze | douze | quinze | vingt | trente
        purpose: la fête | le mariage | le voyage | le déjeuner | les enfants | l'hiver | les invités
        weather: froid | chaud | sec | couvert | agréable | terrible | humide
        """,
    "it": """
        sentence: {order} {thing} {place} | per favore {order} {thing} {time} |
            {person} {did} {thing} {place} {time} | {person} {goes} {goal} {time} |
            ci servono {number} {things} per {purpose} | {person} {did} {number} {things} | dove si trova {thing} |
            il tempo è {weather} {place} {time} | {time} {person} {goes} {goal}
        order: apri | chiudi | pulisci | sposta | dipingi | ripara | cerca | porta | controlla | vendi | lava |
            copri | nascondi | guarda
        thing: la porta | la finestra | il tavolo | la vecchia lampada | la sedia rossa | il cancello del giardino |
            la scatola pesante | la bottiglia blu | lo specchio | il tappeto | il pianoforte | la scala |
            il cestino | la bicicletta | la piccola barca | la panchina verde | l'armadio | il forno | la valigia |
            lo scaffale di legno | l'orologio | l'ombrello | la coperta | la stampante | la radio
        things: mele | candele | biglietti | uova | cucchiai | fiori | matite | bottiglie | patate | francobolli |
            chiavi
        place: nel corridoio | vicino al fiume | dietro la casa | sotto le scale | davanti alla stazione |
            sul tetto | nell'ufficio | accanto alla biblioteca | all'angolo | di fronte al museo | nel villaggio |
            in riva al lago | nel fienile
        time: questa mattina | prima di mezzogiorno | dopo cena | lunedì sera | giovedì | sabato mattina |
            alle sette | domani sera | ogni settimana | di sera | a mezzanotte | in gennaio | in ottobre |
            la prossima estate | due volte al giorno
        person: mio fratello | il nostro vicino | la maestra | il giovane medico | tuo cugino | il fornaio |
            il capitano | la contadina | sua nonna | mio zio | il pittore | una buona amica | l'autista
        did: ha venduto | ha dipinto | ha trovato | ha dimenticato | ha prestato | ha lavato | ha comprato |
            ha portato | ha perso | ha contato
        goes: cammina | guida | corre | viaggia | ritorna | si affretta
        goal: verso il mercato | verso il porto | fino alla montagna | verso la scuola | fino all'aeroporto |
            verso il vecchio ponte | fino al teatro | verso l'ospedale | fino alla spiaggia | verso casa
        number: due | tre | quattro | cinque | sei | otto | nove | undici | dodici | quindici | venti | trenta
        purpose: la festa | il matrimonio | il viaggio | il pranzo | i bambini | l'inverno | gli ospiti
        weather: freddo | caldo | secco | nuvoloso | piacevole | terribile | umido
        """,
    "nl": """
        sentence: {order} {thing} {place} | {order} alsjeblieft {thing} {time} |
            {person} {has} {thing} {place} {did} | {person} {goes} {time} {goal} |
            we hebben {number} {things} nodig voor {purpose} | {person} {has} {number} {things} {did} |
            waar staat {thing} van {person} | het weer is {weather} {place} | {time} {goes} {person} {goal}
        order: open | sluit | poets | verplaats | verf | repareer | zoek | breng | controleer | verkoop | was |
            bedek | verstop | bekijk
        thing: de deur | het raam | de keukentafel | de oude lamp | de rode stoel | het tuinhek | de zware doos |
            de blauwe fles | de spiegel | het tapijt | de piano | de ladder | de mand | de fiets | de kleine boot |
            de groene bank | de kast | de oven | de koffer | de houten plank | de klok | de paraplu | de deken |
            de printer | de radio
        things: appels | kaarsen | kaartjes | eieren | lepels | bloemen | potloden | flessen | aardappels |
            postzegels | sleutels
        place: in de gang | bij de rivier | achter het huis | onder de trap | naast het station | op het dak |
            in het kantoor | naast de bibliotheek | op de hoek | aan de overkant | in het dorp | aan het meer |
            voor het museum | in de schuur
        time: vanmorgen | voor de middag | na het eten | op maandag | op donderdag | op zaterdag | om zeven uur |
            morgenavond | elke week | in de avond | om middernacht | in januari | in oktober | volgende zomer |
            twee keer per dag
        person: mijn broer | onze buurman | de lerares | de jonge dokter | jouw neef | de bakker | de kapitein |
            de boerin | zijn oma | haar oom | de schilder | een goede vriend | de chauffeur
        has: heeft
        did: verkocht | geverfd | gevonden | vergeten | geleend | gewassen | gekocht | gedragen | verloren | geteld
        goes: loopt | rijdt | rent | reist | wandelt | fietst
        goal: naar de markt | naar de haven | naar de bergen | naar school | naar het vliegveld | naar de oude brug |
            naar de schouwburg | naar het ziekenhuis | naar het strand | naar huis
        number: twee | drie | vier | vijf | zes | acht | negen | elf | twaalf | vijftien | twintig | dertig
        purpose: het feest | de bruiloft | de reis | de lunch | de kinderen | de winter | de gasten
        weather: koud | warm | winderig | droog | bewolkt | aangenaam | vreselijk
        """,
    "es": """
        sentence: {order} {thing} {place} | por favor {order} {thing} {time} |
            {person} {did} {thing} {place} {time} | {person} {goes} {goal} {time} |
            necesitamos {number} {things} para {purpose} | {person} {did} {number} {things} |
            dónde está {thing} de {owner} | el tiempo está {weather} {place} {time} | {time} {person} {goes} {goal}
        order: abre | cierra | limpia | mueve | pinta | repara | busca | trae | revisa | vende | lava | cubre |
            esconde | mira
        thing: la puerta | la ventana | la mesa | la vieja lámpara | la silla roja | la verja del jardín |
            la caja pesada | la botella azul | el espejo | la alfombra | el piano | la escalera | la cesta |
            la bicicleta | el pequeño barco | el banco verde | el armario | el horno | la maleta |
            el estante de madera | el reloj | el paraguas | la manta | la impresora | la radio
        things: manzanas | velas | entradas | huevos | cucharas | flores | lápices | botellas | patatas | sellos |
            llaves
        place: en el pasillo | cerca del río | detrás de la casa | debajo de la escalera | delante de la estación |
            en el tejado | en la oficina | al lado de la biblioteca | en la esquina | frente al museo |
            en el pueblo | a orillas del lago | en el granero
        time: esta mañana | antes del mediodía | después de la cena | el lunes | el jueves | el sábado |
            a las siete | mañana por la noche | cada semana | por la tarde | a medianoche | en enero | en octubre |
            el próximo verano | dos veces al día
        person: mi hermano | nuestro vecino | la maestra | el joven médico | tu primo | el panadero | el capitán |
            la granjera | su abuela | mi tío | el pintor | una buena amiga | el conductor
        owner: mi hermano | nuestro vecino | tu primo | su abuela | mi tío | la maestra
        did: vendió | pintó | encontró | olvidó | prestó | lavó | compró | llevó | perdió | contó
        goes: camina | conduce | corre | viaja | vuelve | pasea
        goal: hacia el mercado | hacia el puerto | hasta la montaña | hacia la escuela | hasta el aeropuerto |
            hacia el viejo puente | hasta el teatro | hacia el hospital | hasta la playa | hacia casa
        number: dos | tres | cuatro | cinco | seis | ocho | nueve | once | doce | quince | veinte | treinta
        purpose: la fiesta | la boda | el viaje | la comida | los niños | el invierno | los invitados
        weather: frío | caluroso | seco | nublado | agradable | horrible | húmedo
        """,
}


def grammar(language: str) -> Grammar:
    """The grammar of `language` as a list of alternatives per slot."""
    slots = re.findall(r"(\w+): ([^:]+)(?=\n|$)", GRAMMARS[language])
    return {slot: [" ".join(text.split()) for text in choices.split("|")] for slot, choices in slots}


def restricted(rules: Grammar, vocabulary: Collection[str]) -> Grammar:
    """`rules` without the alternatives that lead to a word outside `vocabulary`."""
    kept = dict(rules)
    while True:
        shorter = {
            slot: [
                text
                for text in choices
                if all(word in vocabulary for word in SLOT.sub(" ", text).split())
                and all(kept[inner] for inner in SLOT.findall(text))
            ]
            for slot, choices in kept.items()
        }
        if shorter == kept:
            return kept
        kept = shorter


def derivations(rules: Grammar, generator: random.Random) -> Iterator[str]:
    """Yield sentences for ever; the same state of `generator` gives the same sentences."""

    def expand(slot: str) -> str:
        return SLOT.sub(lambda match: expand(match[1]), generator.choice(rules[slot]))

    while rules["sentence"]:
        yield expand("sentence")
