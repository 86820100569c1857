from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from num2words import CONVERTER_CLASSES

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv
from secateur.speech.corpora.numbers import UnclearText, spell_numbers
from secateur.speech.corpora.numerals import LANGUAGES, THREE_LETTERS, two_letters
from secateur.speech.corpora.text import normalise, transcript

UNCLEAR = "number that may be read in several ways"


def test_every_language_of_num2words_has_its_marks():
    ours = {"kz" if code == "kk" else code for code in LANGUAGES}
    assert ours == {code for code in CONVERTER_CLASSES if "_" not in code}
    assert set(THREE_LETTERS) == set(LANGUAGES) - {"tet"}


@pytest.mark.parametrize(
    "row", read_tsv(Path(__file__).with_name("numbers.tsv")), ids=lambda row: "-".join(row.values())
)
def test_table_of_numbers_and_languages(row):
    """`_` is a narrow no-break space, `?` a number without a safe reading."""
    raw = row["number"].replace("_", "\u202f")
    if row["words"] == "?":
        with pytest.raises(UnclearText):
            spell_numbers(raw, row["language"])
    else:
        assert " ".join(spell_numbers(raw, row["language"]).split()) == row["words"]


# Written by hand, without num2words: what the numbers are in the words of a speaker.
BY_HAND = {
    "en": {
        "25,000": "twenty five thousand",
        "3.14": "three point one four",
        "the 21st": "the twenty first",
        "0.05": "zero point zero five",
    },
    "de": {
        "25.000": "fünfundzwanzigtausend",
        "3,14": "drei komma eins vier",
        "1 234": "eintausendzweihundertvierunddreißig",
        "Zimmer 7": "zimmer sieben",
    },
    "fr": {
        "25 000": "vingt cinq mille",
        "25\u202f000 €": "vingt cinq mille",
        "3,14": "trois virgule quatorze",
        "le 21e": "le vingt et unième",
        "la 1re": "la première",
    },
    "es": {
        "25.000": "veinticinco mil",
        "21 000": "veintiún mil",
        "0,5": "cero coma cinco",
        "la 2ª": "la segunda",
        "el 1er": "el primer",
    },
    "it": {"25.000": "venticinquemila", "3,14": "tre virgola quattordici", "2º": "secondo"},
    "pt": {"25.000": "vinte e cinco mil", "0,5": "zero vírgula cinco", "a 3ª": "a terceira"},
    "nl": {"25.000": "vijfentwintigduizend", "0,5": "nul komma vijf", "de 3de": "de derde"},
    "pl": {"25 000": "dwadzieścia pięć tysięcy", "0,5": "zero przecinek pięć", "1\u00a0000": "tysiąc"},
    "ru": {
        "25 000": "двадцать пять тысяч",
        "0,5": "ноль целых пять десятых",
        "1,1": "одна целая одна десятая",
        "2-го": "второго",
    },
    "tr": {"25.000": "yirmi beş bin", "3.14": "üç nokta on dört", "5'te": "beşte", "4'ü": "dördü"},
    "ja": {"1,000": "千", "25,000": "二万五千", "3.14": "三点一四"},
    "ko": {"1,000": "천", "25,000": "이만 오천", "제3": "제삼", "100명": "백명"},
    "he": {"1,000": "אלף", "0.5": "אפס נקודה חמש"},
    "cy": {"0.5": "dim pwynt pump"},
    "vi": {"1.005": "một nghìn không trăm lẻ năm", "0,5": "không phẩy năm"},
    "id": {"0,5": "nol koma lima", "ke-3": "ketiga"},
    "fa": {"۱۲٬۵۰۰": "دوازده هزار و پانصد", "۰٫۵": "صفر ممیز پنج"},
    "te": {"25,000": "ఇరవై అయిదు వేలు", "101": "నూట ఒకటి"},
    "am": {"1,000,000": "አንድ ሚሊዮን"},
    "cs": {"2,5": "dvě celé pět", "200": "dvě stě"},
    "hu": {"a 3. emelet": "a harmadik emelet"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "raw", "words"),
    [(language, raw, words) for language, found in BY_HAND.items() for raw, words in found.items()],
)
def test_by_hand(language, raw, words):
    assert normalise(raw, language) == words


@pytest.mark.parametrize(
    ("language", "raw"),
    [
        ("en", "1.000"),  # one, to three decimals, or a European thousand
        ("en", "2,5"),
        ("en", "192.168.100.200"),
        ("en", "in the 1990s"),
        ("es", "1,000"),  # a thousand in Mexico
        ("ru", "1,000"),
        ("ru", "5-й"),  # пятый or пятой
        ("de", "am 3. Mai"),
        ("de", "am 3.10. kommt"),
        ("de", "die 80er Jahre"),
        ("pl", "25.12.2020"),
        ("fr", "12 345 678 06 12"),
        ("ko", "사과 3개"),  # 세 개: native numbers before counters
        ("am", "123456789012"),
    ],
)
def test_a_number_without_a_safe_reading_is_a_reason_to_drop_the_line(language, raw):
    assert transcript(raw, language) == ("", UNCLEAR)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
@given(st.integers(0, 10**18), st.sampled_from(["{}", "{:,}", "{:_}", "{}.5", "0,{}", "{}th", "{}."]))
def test_no_number_crashes_or_hangs(language, number, form):
    raw = form.format(number).replace("_", "\u00a0")
    try:
        words = spell_numbers(raw, language)
    except UnclearText:
        return
    assert words.strip() and not any(character.isdigit() for character in words)


@pytest.mark.parametrize(
    ("code", "wanted"), [("ces", "dvacet pět"), ("slk", "dvadsaťpäť"), ("ben", "পঁচিশ"), ("kaz", "жиырма бес")]
)
def test_codes_of_three_letters(code, wanted):
    assert normalise("25", code) == wanted
    assert all(two_letters(three) == two for two, codes in THREE_LETTERS.items() for three in codes.split())


@pytest.mark.parametrize("code", ["est", "eus", "zho", "hin", "fil", "nno", "arg"])
def test_a_language_without_numerals_is_refused_where_there_are_numbers(code):
    assert normalise("abc", code) == "abc"
    with pytest.raises(SecateurError, match=f"'25'.*'{code}'"):
        normalise("abc 25", code)


def test_serbian_numbers_are_in_the_script_of_the_text():
    assert normalise("Imam 21 godinu", "sr") == "imam dvadeset jedan godinu"
    assert normalise("Имам 21 годину", "srp") == "имам двадесет један годину"
