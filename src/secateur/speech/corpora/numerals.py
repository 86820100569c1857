"""How languages write and say numbers: their marks for thousands and decimals, and words out of num2words, mended.

`LANGUAGES` has every language of num2words 0.5. What num2words says wrongly, or not at all, is put right in `_MENDED`
and `_OWN`; what cannot be said safely has no entry, and lines with it are dropped and listed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

DIGITS, NUMBER = 0, 3  # longest part after the decimal mark that is read as one number; `DIGITS`: digit by digit


@dataclass(frozen=True)
class Numerals:
    """How one language writes and says numbers.

    Attributes:
        decimal: mark of decimals.
        groups: marks of thousands; a space stands for a plain one (no-break spaces group in every language).
        points: word of each mark that may stand before decimals, or a function of (whole number, fraction's digits).
        fraction: longest fraction that is read as one number.
        unsure: marks that before three digits mean thousands in one country and decimals in another.
        limit: largest number that is spelled.
        attached: what is written without spaces: "" nothing, "ends" numbers and their neighbours, "all" parts, too.
    """

    decimal: str
    groups: str
    points: dict[str, str | Callable[[int, str], str]] = field(default_factory=dict)
    fraction: int = DIGITS
    unsure: str = ""
    limit: int = 10**12 - 1
    attached: str = ""


def _celá(forms: tuple[str, str, str, str], code: str) -> Callable[[int, str], str]:
    """Decimals of Czech, Slovak and Slovenian: 1 whole, 2 wholes, 3 or 4 wholes, 0 or more wholes."""

    def say(whole: int, fraction: str) -> str:
        last = whole % 100 if code == "sl" else whole
        form = forms[{1: 0, 2: 1, 3: 2, 4: 2}.get(last, 3)]
        if whole == 0 and code != "sl":
            form = forms[0]
        words = {1: "jedna", 2: "dvě" if code == "cs" else "dve"}.get(whole) if code != "sl" else None
        zeros = [cardinal(0, code)] * (len(fraction) - len(fraction.lstrip("0")))
        rest = [cardinal(int(fraction), code)] if int(fraction) else []
        return " ".join([words or cardinal(whole, code), form, *zeros, *rest])

    return say


def _parts(code: str) -> Callable[[int, str], str]:
    """Tenths, hundredths and thousandths, by num2words: `три целых четырнадцать сотых`."""
    return lambda whole, fraction: _num2words(f"{whole}.{fraction}", code)


def _out_of(code: str, wholes: str, parts: tuple[str, str, str]) -> Callable[[int, str], str]:
    """Turkic decimals: `үш бүтін жүзден он төрт`, three wholes, out of a hundred fourteen."""
    return lambda whole, fraction: " ".join(
        [cardinal(whole, code), wholes, parts[len(fraction) - 1], cardinal(int(fraction), code)]
    )


def _comma(groups: str, comma, dot=None, **more) -> Numerals:
    points = {",": comma, ".": dot}
    return Numerals(",", groups, {mark: point for mark, point in points.items() if point}, **more)


def _dot(dot: str, **more) -> Numerals:
    return Numerals(".", more.pop("groups", ",٬"), {".": dot}, **more)


LANGUAGES = {
    "am": _dot("ነጥብ", limit=10**9 - 1),
    "ar": Numerals(".", ",٬", {".": "فاصلة", ",": "فاصلة"}, NUMBER, unsure=".", limit=10**9 - 1),
    "az": _comma(" .", _out_of("az", "tam", ("onda", "yüzdə", "mində")), "nöqtə", fraction=NUMBER),
    "be": _comma(" ", "коска", fraction=NUMBER),
    "bn": _dot("দশমিক", limit=10**9 - 1),
    "ca": _comma(" .", "coma", "punt", fraction=NUMBER, limit=10**9 - 1),
    "ce": _comma(" ", None, limit=10**6 - 1),
    "cs": _comma(" .", _celá(("celá", "celé", "celé", "celých"), "cs"), "tečka", fraction=NUMBER),
    "cy": _dot("pwynt", limit=10**6 - 1),
    "da": _comma(" .", "komma", "punktum", fraction=NUMBER - 1),
    "de": _comma(" .", "komma", "punkt", limit=10**15 - 1),
    "en": _dot("point", limit=10**15 - 1),
    "eo": _comma(" ", "komo", "punkto", limit=10**6 - 1),
    "es": _comma(" .", "coma", "punto", fraction=NUMBER, unsure=",", limit=10**15 - 1),
    "fa": _dot("ممیز", fraction=NUMBER - 1),
    "fi": _comma(" ", "pilkku", "piste"),
    "fr": _comma(" .", "virgule", "point", fraction=NUMBER, limit=10**15 - 1),
    "he": _dot("נקודה"),
    "hu": _comma(" .", _parts("hu"), "pont", fraction=NUMBER),
    "id": _comma(".", "koma", "titik", unsure=","),
    "is": _comma(".", "komma", "punktur"),
    "it": _comma(".", "virgola", "punto", fraction=NUMBER, limit=10**15 - 1),
    "ja": _dot("点", attached="all"),
    "kk": _comma(" ", _out_of("kk", "бүтін", ("оннан", "жүзден", "мыңнан")), "нүкте", fraction=NUMBER),
    "kn": _dot("ಬಿಂದು", limit=10**7 - 1),
    "ko": _dot("점", attached="ends"),
    "lt": _comma(" .", "kablelis", "taškas", fraction=NUMBER),
    "lv": _comma(" ", "komats", "punkts", fraction=NUMBER),
    "nl": _comma(" .", "komma", "punt", fraction=NUMBER - 1, limit=10**15 - 1),
    "no": _comma(" .", "komma", "punktum", fraction=NUMBER - 1),
    "pl": _comma(" .", "przecinek", "kropka", fraction=NUMBER),
    "pt": _comma(" .", "vírgula", "ponto", fraction=NUMBER, limit=10**9 - 1),
    "ro": _comma(" .", "virgulă", "punct", fraction=NUMBER),
    "ru": _comma(" ", _parts("ru"), _parts("ru"), limit=10**15 - 1),
    "sk": _comma(" ", _celá(("celá", "celé", "celé", "celých"), "sk"), "bodka", fraction=NUMBER, limit=10**9 - 1),
    "sl": _comma(".", _celá(("cela", "celi", "cele", "celih"), "sl"), "pika", fraction=NUMBER, limit=10**6 - 1),
    "sr": _comma(" .", "zapeta", "tačka", fraction=NUMBER, limit=10**9 - 1),
    "sv": _comma(" .", "komma", "punkt", fraction=NUMBER - 1),
    "te": _dot("పాయింట్", limit=10**7 - 1),
    "tet": _comma(".", "vírgula", "pontu", limit=10**6 - 1),
    "tg": _comma(" ", None, limit=10**9 - 1),
    "th": _dot("จุด", attached="all"),
    "tr": _comma(".", "virgül", "nokta", fraction=NUMBER),
    "uk": _comma(" ", "кома", fraction=NUMBER),
    "vi": _comma(".", "phẩy", "chấm", fraction=NUMBER - 1, unsure=","),
}

# ISO 639-2 (both codes where there are two) and 639-3 codes, and ISO 639-1 codes of single varieties.
THREE_LETTERS = {
    "am": "amh", "ar": "ara arb", "az": "aze azj", "be": "bel", "bn": "ben", "ca": "cat", "ce": "che", "cs": "ces cze",
    "cy": "cym wel", "da": "dan", "de": "deu ger", "en": "eng", "eo": "epo", "es": "spa", "fa": "fas per pes",
    "fi": "fin", "fr": "fra fre", "he": "heb", "hu": "hun", "id": "ind", "is": "isl ice", "it": "ita", "ja": "jpn",
    "kk": "kaz", "kn": "kan", "ko": "kor", "lt": "lit", "lv": "lav lvs", "nl": "nld dut", "no": "nor nob nb",
    "pl": "pol", "pt": "por", "ro": "ron rum", "ru": "rus", "sk": "slk slo", "sl": "slv", "sr": "srp", "sv": "swe",
    "te": "tel", "tg": "tgk", "th": "tha", "tr": "tur", "uk": "ukr", "vi": "vie",
}  # fmt: skip
_CODES = {code: two for two, codes in THREE_LETTERS.items() for code in codes.split()}


def two_letters(language: str) -> str:
    """The ISO 639-1 code of a language of two or three letters; a code that has none here comes back as it is."""
    return _CODES.get(language, language)


def cardinal(number: int, code: str, cyrillic: bool = False) -> str:
    """Words of a number in `code` (a key of LANGUAGES). Raises LookupError if it has none."""
    words = _OWN[code](number) if code in _OWN else _num2words(number, code)
    words = _MENDED[code](words, number) if code in _MENDED else words
    return _serbian_cyrillic(words) if code == "sr" and cyrillic else words


def ordinal(number: int, code: str) -> str:
    """Words of an ordinal number. Raises LookupError if there are none that are known to be right."""
    if number == 0 or number > 10**6 or (code in ("ca", "da", "no", "sv") and number >= 100):
        raise LookupError(f"{number} of {code}")
    words = _num2words(number, code, to="ordinal")
    return _turkish(words) if code == "tr" else words


def _num2words(number: int | str, code: str, **options) -> str:
    import num2words

    return num2words.num2words(number, lang="kz" if code == "kk" else code, **options)


# Words that num2words gets wrong, in the order of LANGUAGES.


def _arabic(words: str, number: int) -> str:
    """The counted thousands and millions in their case, `و` written to the next word."""
    last = next((part for power in (10**3, 10**6) if (part := number // power % 1000) and not number % power), 0)
    if number >= 2000 and (last == 2 or 11 <= last % 100 <= 99):
        words = _num2words(number + 1, "ar").removesuffix(" و واحد")
    words = re.sub("(مائة|مئتا) (ألف|مليون)اً", r"\1 \2", words)
    return re.sub(r"\bو ", "و", words)


def _czech(words: str, number: int) -> str:
    return re.sub(r"(dvě)(?=stě)|(tři|čtyři)(?=sta)|(pět|šest|sedm|osm|devět)(?=set)", r"\g<0> ", words)


def _danish(words: str, number: int) -> str:
    words = re.sub(r"\ben (million|milliard)er", r"en \1", words)
    return re.sub(r"tusinde? og (\w+hundrede)", r"tusind \1", words)


VOWEL_SIGNS = {"ಒ": "ೊ", "ಎ": "ೆ", "ಐ": "ೈ", "ಆ": "ಾ", "ಏ": "ೇ"}


def _kannada(words: str, number: int) -> str:
    """Tens and ones in one word, no `one` before lakh or hundred."""
    words = re.sub("\u0ccd ([ಒಎಐಆಏ])", lambda match: VOWEL_SIGNS[match[1]], words)
    words = re.sub("\u0ccd (?=[ಮನ])", "", words)
    words = re.sub(r"(?<=\S) ಒಂದು ಲಕ್ಷ", " ಲಕ್ಷ", words)
    return re.sub(r"^ಒಂದು (?=ನೂರ)", "", words)


TURKISH = (
    "milyon|milyar|trilyon|bin|yüz|doksan|seksen|yetmiş|altmış|elli|kırk|otuz|yirmi|on|dokuz|sekiz|yedi|altı|beş|"
    "dört|dörd|üç|iki|bir|sıfır"
)


def _turkish(words: str, number: int = 0) -> str:
    """Words instead of one long one."""
    return " ".join(re.findall(rf"(?:{TURKISH})(?:[ıiuü]?nc[ıiuü]$)?", words))


def _vietnamese(words: str, number: int) -> str:
    """`không trăm` where hundreds are missing after thousands."""
    return re.sub(
        r"(nghìn|triệu|tỷ) lẻ (\w+)$|(nghìn|triệu|tỷ) lẻ (?=\w+ )",
        lambda match: f"{match[1]} không trăm lẻ {match[2]}" if match[1] else f"{match[3]} không trăm ",
        words,
    )


def _serbian_cyrillic(words: str) -> str:
    for latin, cyrillic in (("dž", "џ"), ("lj", "љ"), ("nj", "њ")):
        words = words.replace(latin, cyrillic)
    return words.translate(str.maketrans("abvgdđežzijklmnoprstćufhcčš", "абвгдђежзијклмнопрстћуфхцчш"))


_MENDED: dict[str, Callable[[str, int], str]] = {
    "ar": _arabic,
    "ce": lambda words, number: words.replace("І", "Ӏ"),
    "cs": _czech,
    "da": _danish,
    "es": lambda words, number: re.sub(r"\bveintiuno (?=mil)", "veintiún ", words).replace("y uno mil", "y un mil"),
    "kn": _kannada,
    "sv": lambda words, number: words.replace("etttusen", "ettusen"),
    "tg": lambda words, number: words.replace("панҷову", "панҷоҳу"),
    "tr": _turkish,
    "vi": _vietnamese,
}


def _amharic(number: int) -> str:
    words = []
    for power, name in ((10**6, "ሚሊዮን"), (10**3, "ሺህ")):
        if number >= power:
            words += [_amharic(number // power), name]
            number %= power
            if not number:
                return " ".join(words)
    return " ".join([*words, _num2words(number, "am")])


def _telugu(number: int) -> str:
    """Below a hundred by num2words; hundreds, thousands and lakhs as they are before a number and at the end."""
    words = []
    scales = (
        (10**5, "లక్ష", "లక్ష", "లక్షల", "లక్షలు"),
        (1000, "వెయ్యి", "వెయ్యి", "వేల", "వేలు"),
        (100, "నూట", "వంద", "వందల", "వందలు"),
    )
    for power, one, one_last, many, many_last in scales:
        count, number = divmod(number, power)
        if count == 1:
            words.append(one if number else one_last)
        elif count:
            words += [_telugu(count), many if number else many_last]
    return " ".join([*words, *([_num2words(number, "te")] if number or not words else [])])


_OWN: dict[str, Callable[[int], str]] = {"am": _amharic, "te": _telugu}

# Endings and prefixes that mark ordinals and the like.

Ending = Callable[[int, str], str]


def _plain(code: str) -> Ending:
    return lambda number, ending: ordinal(number, code)


def _feminine(code: str) -> Ending:
    return lambda number, ending: re.sub(r"o\b", "a", ordinal(number, code))


def _shortened(number: int, ending: str) -> str:
    words = ordinal(number, "es")
    if not words.endswith(("primero", "tercero")):
        raise LookupError(f"{number}{ending}")
    return words.removesuffix("o")


def _french(number: int, ending: str) -> str:
    """`1er`, `1re`, `2e`, and their plurals."""
    words = ordinal(number, "fr")
    feminine = ending.rstrip("s").endswith("re")
    plural = "s" if ending.endswith("s") else ""
    return ("première" if feminine and words == "premier" else words) + plural


def _second(number: int, ending: str) -> str:
    if number != 2:
        raise LookupError(f"{number}{ending}")
    return "second" if ending == "nd" else "seconde"


def _catalan_feminine(number: int, ending: str) -> str:
    words = ordinal(number, "ca")
    return words[:-1] + "ena" if words.endswith("è") else words + "a"


def _russian(gender: str = "m", case: str = "n", plural: bool = False) -> Ending:
    return lambda number, ending: _num2words(
        number, "ru", to="ordinal", gender=gender, case=case, plural=plural, animate=False
    )


def _turkish_suffix(number: int, ending: str) -> str:
    """`5'te` → `beşte`, `4'ü` → `dördü`."""
    words, suffix = cardinal(number, "tr"), ending.lstrip("'")
    return (re.sub("dört$", "dörd", words) if suffix[0] in "aeıioöuü" else words) + suffix


def _korean_counted(number: int, ending: str) -> str:
    """Numbers below a hundred are native before a counter, `세 개`, and not the ones of num2words."""
    if number < 100:
        raise LookupError(f"{number}{ending}")
    return cardinal(number, "ko") + ending


LOWER = "(?=\\s+[a-zæøåáéíóöőúüűçğış])"
# Counters of things, people, years, hours, times; more letters may follow.
KOREAN_COUNTERS = "(?:개(?!월)|명|살|마리|권|잔|병|시|번|벌|켤레|송이|그루|사람|달)\\w*"
# By language and ending (a regular expression): words of (number, ending); None where the reading depends on more.
ORDINALS: dict[str, dict[str, Ending | None]] = {
    "az": {"-?(?:n?c[ıiuü])": _plain("az")},
    "ca": {"r|n|t|è": _plain("ca"), "a": _catalan_feminine},
    "da": {rf"\.{LOWER}": _plain("da")},
    "en": {"(?:st|nd|rd|th)": _plain("en"), "'?s": None},
    "eo": {"-?a": _plain("eo")},
    "es": {"º|[dmrtv]o": _plain("es"), "ª|[dmrtv]a": _feminine("es"), "er": _shortened, r"°(?!\s*[CF])": None},
    "fi": {":s": _plain("fi"), r":\w+": None},
    "fr": {"ers?|[eè]?res?|[eè]mes?|es?": _french, "nde?": _second},
    "hu": {rf"\.{LOWER}": _plain("hu")},
    "it": {"º": _plain("it"), "ª": _feminine("it"), r"°(?!\s*[CF])": None},
    "ko": {rf"\s?(?:{KOREAN_COUNTERS})": _korean_counted},
    "nl": {"ste|de|e": _plain("nl")},
    "no": {rf"\.{LOWER}": _plain("no")},
    "pt": {"º": _plain("pt"), "ª": _feminine("pt"), r"°(?!\s*[CF])": None},
    "ro": {"-?lea": lambda number, ending: ordinal(number, "ro").removeprefix("al ")},
    "ru": {
        "-?я": _russian("f"),
        "-?о?го": _russian("m", "g"),
        "-?о?му": _russian("m", "d"),
        "-?[ыи]?х": _russian("m", "g", plural=True),
        "-?(?:ую|ю)": _russian("f", "a"),
    },
    "sv": {":[ae]": _plain("sv"), r":\w+": None},
    "tr": {r"'[^\W\d_]+": _turkish_suffix, rf"\.{LOWER}": _plain("tr")},
}
PREFIXES: dict[str, tuple[str, Callable[[int], str]]] = {
    "id": ("ke-", lambda number: ordinal(number, "id")),
    "vi": ("thứ ", lambda number: "thứ " + {1: "nhất", 4: "tư"}.get(number, cardinal(number, "vi"))),
}
# Languages where letters after a number (`25-летний`, `80er`) change its words, and those where a dot makes ordinals.
INFLECTED = frozenset({
    "az", "be", "ce", "cs", "cy", "da", "de", "fi", "hu", "is", "kk", "lt", "lv",
    "nl", "no", "pl", "ro", "ru", "sk", "sl", "sr", "sv", "tg", "tr", "uk",
})  # fmt: skip
WITH_A_DOT = frozenset({"cs", "da", "de", "fi", "hu", "is", "lv", "no", "pl", "sk", "sl", "sr", "tr"})
DATES_WITH_A_DOT = WITH_A_DOT | frozenset({"az", "be", "it", "kk", "lt", "ro", "ru", "uk"})
