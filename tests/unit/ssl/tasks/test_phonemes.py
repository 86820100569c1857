import pytest

from secateur.core.errors import SecateurError
from secateur.speech.corpora.espeak import speak
from secateur.ssl.tasks.phonemes import phonemes
from secateur.ssl.tasks.pr import lexicon, spelled


def test_phonemes_of_languages():
    assert phonemes(["three", "please"], "en") == [("θ", "ɹ", "iː"), ("p", "l", "iː", "z")]
    assert phonemes(["marque"], "es") == [("m", "a", "ɾ", "k", "e")]
    assert phonemes(["chat noir"], "fr") == [("ʃ", "a", "n", "w", "a", "ʁ")]


def test_stress_and_foreign_words_leave_no_marks():
    (symbols,) = phonemes(["le projet libre asterisk ne connaît pas digium"], "fr")
    assert not {mark for symbol in symbols for mark in symbol} & set("ˈˌ()-|")
    assert len(symbols) > 25


def test_speech_in_between_changes_nothing():
    before = phonemes(["conference"], "en")
    speak("hello", "fr+f2", 120)
    assert phonemes(["conference"], "en") == before


def test_an_unknown_language_is_named():
    with pytest.raises(SecateurError, match="no voice 'xx'"):
        phonemes(["word"], "xx")


def test_the_first_pronunciation_of_a_lexicon_counts(tmp_path):
    (tmp_path / "a.txt").write_text("THE  DH AH0\nTHE  DH IY0\nCAT\tK AE1 T\n")
    (tmp_path / "b.txt").write_text("CAT X\nSAT S AE1 T\n")
    words = lexicon([tmp_path / "a.txt", tmp_path / "b.txt"])
    assert spelled("the cat sat", words, "utt") == ("DH", "AH0", "K", "AE1", "T", "S", "AE1", "T")
    with pytest.raises(SecateurError, match="lacks 'dog' of utt"):
        spelled("the dog", words, "utt")
