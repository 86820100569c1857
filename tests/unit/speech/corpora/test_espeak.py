import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.core.errors import SecateurError
from secateur.speech import audio
from secateur.speech.corpora import espeak
from secateur.speech.corpora.sentences import GRAMMARS, SLOT, derivations, grammar, restricted
from secateur.speech.corpora.text import normalise


@pytest.mark.parametrize("language", sorted(GRAMMARS))
def test_grammars_are_complete(language):
    rules = grammar(language)
    used = {name for choices in rules.values() for text in choices for name in SLOT.findall(text)}
    assert used == set(rules) - {"sentence"}
    assert all(
        text and text.replace("-", " ") == normalise(text, language)
        for choices in rules.values()
        for text in choices
        if "{" not in text
    )
    words = {
        word
        for _, text in zip(range(3000), derivations(rules, random.Random(0)), strict=False)
        for word in text.split()
    }
    assert len(words) > 180


def test_restricted():
    rules = {"sentence": ["{a} x", "{b} y", "z"], "a": ["p", "q"], "b": ["{c}"], "c": ["r"]}
    assert restricted(rules, {"x", "y", "q"}) == {"sentence": ["{a} x"], "a": ["q"], "b": [], "c": []}


@settings(deadline=None, max_examples=12)
@given(st.sampled_from(sorted(GRAMMARS)), st.integers(0, 1000), st.integers(60, 300))
def test_sentences_are_new_and_of_known_words(language, seed, train):
    texts = espeak.sentences(language, {"train": train, "dev": 5, "test": 10}, seed)
    assert [len(texts[split]) for split in ("train", "dev", "test")] == [train, 5, 10]
    every = [text for members in texts.values() for text in members]
    assert len(set(every)) == len(every)
    known = {word for text in texts["train"] for word in text.split()}
    assert {word for split in ("dev", "test") for text in texts[split] for word in text.split()} <= known


def test_sentences_follow_the_seed():
    sizes = {"train": 20, "dev": 0, "test": 0}
    assert espeak.sentences("fr", sizes, 1) == espeak.sentences("fr", sizes, 1)
    assert espeak.sentences("fr", sizes, 1) != espeak.sentences("fr", sizes, 2)


def test_too_few_words_to_combine():
    with pytest.raises(SecateurError, match=r"utterances\.dev: 500 new sentences are wanted in 'en'"):
        espeak.sentences("en", {"train": 2, "dev": 500, "test": 1}, 0)


def test_speech_does_not_depend_on_what_was_spoken_before_nor_on_the_time():
    first = espeak.speak("open the door", "en+f2", 120)
    espeak.speak("fermez la porte", "fr+m3", 100)
    time.sleep(1.1)  # espeak-ng would seed its noise with the second
    second = espeak.speak("open the door", "en+f2", 120)
    assert first[1] == second[1] == 22050 and np.array_equal(first[0], second[0])
    assert not np.array_equal(first[0], espeak.speak("open the door", "en+m1", 120)[0])
    assert len(espeak.speak("open the door", "en+f2", 80)[0]) > 1.2 * len(first[0])


def test_prepare_gives_the_same_bytes_again(tmp_path):
    options = {"recipe": "espeak", "utterances": {"train": 40, "dev": 2, "test": 3}, "seed": 4, "voices": ["f1", "m3"]}
    results = []
    for cache in (tmp_path / "one", tmp_path / "two"):
        espeak.fetch(options, "it", cache)
        results.append(espeak.prepare(options, "it", cache))
    for split in espeak.SPLITS:
        assert len(results[0].splits[split]) == options["utterances"][split]
        for one, two in zip(results[0].splits[split], results[1].splits[split], strict=True):
            assert (one.id, one.text, one.duration) == (two.id, two.text, two.duration)
            assert Path(one.audio).read_bytes() == Path(two.audio).read_bytes()
    speech = audio.read(results[0].splits["test"][0].audio)
    assert audio.info(results[0].splits["test"][0].audio).rate == 16000
    assert 0.01 < np.sqrt(np.mean(speech**2)) < 0.5
    assert {u.speaker for u in results[0].splits["train"]} == {"it-f1", "it-m3"}
    assert results[0].source["synthetic"] is True and "SYNTHETIC" in results[0].source["description"]


def test_bad_options(tmp_path):
    with pytest.raises(SecateurError, match=r"'ru'.*choose from"):
        espeak.fetch({"recipe": "espeak", "voices": ["f1"]}, "ru", tmp_path)
    with pytest.raises(SecateurError, match="'f99' is not a variant"):
        espeak.fetch({"recipe": "espeak", "voices": ["f99"]}, "en", tmp_path)
