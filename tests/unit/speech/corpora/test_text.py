import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur.core.errors import SecateurError
from secateur.speech.corpora.lm_text import read_sentences
from secateur.speech.corpora.numbers import UnclearText
from secateur.speech.corpora.text import normalise


@pytest.mark.parametrize(
    ("language", "raw", "wanted"),
    [
        ("en", "Hello,  World!", "hello world"),
        ("en", "digits/a-m: A.M.", "digits a m a m"),
        ("en", "Don’t re-enter 'it' o'clock'", "don't re enter it o'clock"),
        ("en", "Use the 7 key.", "use the seven key"),
        ("en", "on the 2nd and 21st", "on the second and twenty first"),
        ("en", "1,000 or 28.8 kilobit", "one thousand or twenty eight point eight kilobit"),
        ("en", "agent 007", "agent zero zero seven"),
        ("en", "version 1.2.3", "version one two three"),
        ("fr", "À 28,8 °C l'été", "à vingt huit virgule huit c l'été"),
        ("fr", "la 1re et le 2e, 1.000", "la première et le deuxième mille"),
        ("fr", "Composez le 80.", "composez le quatre vingts"),
        ("it", "28Kilobit", "ventotto kilobit"),
        ("it", "c’è l’utente", "c'è l'utente"),
        ("es", "marque 2; ¿sí?", "marque dos sí"),
        ("es", "la 2ª y el 3er piso", "la segunda y el tercer piso"),
        ("it", "la 1ª e il 2º", "la prima e il secondo"),
        ("nl", "de 3de van 12", "de derde van twaalf"),
        ("ru", "Нажмите 1.", "нажмите один"),
        ("en", "snake_case — “quoted” … ½ x²", "snake case quoted x"),
        ("en", "?!", ""),
    ],
)
def test_examples(language, raw, wanted):
    assert normalise(raw, language) == wanted


def test_decomposed_and_composed_letters_agree():
    assert normalise(unicodedata.normalize("NFD", "Où ÉTAIT"), "fr") == "où était"


@given(st.text(max_size=40))
def test_result_is_clean_and_stays_as_it_is(raw):
    try:
        result = normalise(raw, "en")
    except UnclearText:
        return
    assert normalise(result, "en") == result
    assert result == " ".join(result.split())
    assert unicodedata.is_normalized("NFC", result)
    for word in result.split():
        assert not word.startswith("'") and not word.endswith("'")
        assert all(letter in "'\u200c\u200d" or unicodedata.category(letter)[0] in "LM" for letter in word)


@given(st.integers(min_value=0, max_value=10**30))
def test_every_number_is_spelled_out(number):
    for language in ("en", "fr", "it", "es", "nl", "ru"):
        assert normalise(str(number), language)


def test_numbers_in_a_language_that_cannot_be_spelled():
    assert normalise("abc", "xx") == "abc"
    with pytest.raises(SecateurError, match=r"'12'.*'xx'"):
        normalise("abc 12", "xx")


def test_sentences_of_a_file_are_normalised(tmp_path):
    (tmp_path / "t").write_text("Hello, World!\n\n...\nChapter 2\n", encoding="utf-8")
    assert read_sentences(tmp_path / "t", "en") == ["hello world", "chapter two"]


def test_a_file_that_cannot_be_used_is_named(tmp_path):
    with pytest.raises(SecateurError, match="none: no such text file"):
        read_sentences(tmp_path / "none", "en")
    for content, message in (
        (b"\n...\n", "t: no words in it"),
        (b"\xe9t\xe9\n", "t:1: not UTF-8"),
        (b"one\n22\n", "t:2: transcript number '22'"),
    ):
        (tmp_path / "t").write_bytes(content)
        with pytest.raises(SecateurError, match=message):
            read_sentences(tmp_path / "t", "xx")
