"""What each task makes of data directories."""

from collections import Counter

import numpy as np
import pytest
from superb_tones import RATE, VOICE_OF, options

from secateur.core.errors import SecateurError
from secateur.ssl.tasks import Data, Item, check, er, ic, ks, module, prompts, qbe, sd, sf, sid, sv
from secateur.ssl.tasks.clips import Clip, Part
from secateur.ssl.tasks.run import load

OPTIONS = options()


@pytest.fixture(scope="module")
def read(corpus):
    return prompts.read(corpus, VOICE_OF)


def test_every_task_of_the_corpus_keeps_train_and_test_apart(read):
    for name, each in OPTIONS.items():
        data = load(name, each, read)
        assert data.notes and all(data.items.values())
        recordings = {
            split: {part.audio for item in items for part in item.clip.parts} for split, items in data.items.items()
        }
        if name != "qbe":  # which trains nothing: its queries are recordings of train
            assert not recordings["train"] & recordings["test"]
            assert not recordings["train"] & recordings["dev"]


def test_keywords_leave_most_texts_with_exactly_one_of_them():
    texts = [set(text.split()) for text in ("call me", "call us", "call now please", "now please", "wait", "me")]
    # `call` is in three texts. With `please` or `now` one more text has a keyword, but one has two: three in all; with
    # `wait` four have exactly one. With `me`: "call me" has two, so three.
    assert ks.keywords(texts, 1, 3) == ["call"]
    assert ks.keywords(texts, 2, 2) == ["call", "wait"]
    with pytest.raises(SecateurError, match="2 words of 5 letters"):
        ks.keywords([{"please", "voicemail"}], 3, 5)


def test_a_prompt_has_the_class_of_its_only_keyword(read):
    data = ks.from_directories(read, OPTIONS["ks"])
    words = {item.target[0].split()[1] for item in data.items["train"] if item.target != ("none",)}
    assert len(words) == 2
    texts = {utterance.id: set(utterance.text.split()) for split in read["en"].values() for utterance in split}
    for items in data.items.values():
        for item in items:
            found = texts[item.id] & words
            assert item.target == ((f"en {found.pop()}" if found else "none"),) and not found
    left_out = [name for name, text in texts.items() if len(text & words) > 1]
    assert not set(left_out) & {item.id for items in data.items.values() for item in items}


def test_intents_are_the_applications_that_prompts_are_named_after():
    assert ic.intent("en-vm-savefolder", "en") == "vm"
    assert ic.intent("es-confbridge-lock-in", "es") == ic.intent("es-conf-locked", "es") == "conf"
    assert ic.intent("en-dictate_play_help", "en") == "dictate"


def test_intents_that_are_too_rare_are_left_out(read):
    both = ic.from_directories(read, OPTIONS["ic"])
    assert {item.target for item in both.items["test"]} == {("vm",), ("conf",)}
    with pytest.raises(SecateurError, match="1 intents with 20 clips"):
        ic.from_directories(read, OPTIONS["ic"] | {"minimum": 20})


def test_every_voice_gives_the_same_number_of_clips_over_its_languages(read):
    data = sid.from_directories(read, OPTIONS["sid"])
    assert Counter(item.target[0] for item in data.items["train"]) == dict.fromkeys(set(VOICE_OF.values()), 12)
    languages = Counter(item.id.split("-")[0] for item in data.items["train"] if item.target == ("ann",))
    assert languages == {"en": 6, "es": 6}
    assert all(item.clip.seconds <= 0.3 for item in data.items["test"])
    assert data.chance == {"acc": 25.0}
    with pytest.raises(SecateurError, match="one speaker only, ann"):
        sid.from_directories(read, OPTIONS["sid"] | {"languages": ["en", "es"]})


def test_trials_join_two_languages_and_the_voice_on_trial_is_new_to_the_head(read):
    data = sv.from_directories(read, OPTIONS["sv"])
    speaker = {item.id: item.target for item in data.items["test"]}
    assert {item.target[0] for item in data.items["train"]} == {"bob", "cat", "dan"}
    for trial in data.pairs["test"]:
        (first, one), (second, other) = speaker[trial.first], speaker[trial.second]
        assert one != other and "ann" in (first, second) and trial.match == (first == second)
    # 5 clips a language: 25 matching trials en–es, and en and es each with 15 clips of other voices.
    assert Counter(trial.match for trial in data.pairs["test"]) == {True: 25, False: 150}
    with pytest.raises(SecateurError, match="0 voices with two languages"):
        sv.from_directories(read, OPTIONS["sv"] | {"languages": ["en", "fr", "it"]})


def test_queries_are_said_word_for_word_in_some_document_and_not_in_all(read):
    data = qbe.from_directories(read, OPTIONS["qbe"])
    texts = {utterance.id: utterance.text for split in read["en"].values() for utterance in split}
    assert {pair.second for pair in data.pairs["test"]} == {utterance.id for utterance in read["en"]["test"]}
    for pairs in data.pairs.values():
        by_query = Counter(pair.first for pair in pairs if pair.match)
        for pair in pairs:
            assert pair.match == (texts[pair.first] in texts[pair.second].split())
            assert "train" in pair.first and 0 < by_query[pair.first] < 6
    with pytest.raises(SecateurError, match="no training prompt of at most 1 words"):
        qbe.from_directories(read, OPTIONS["qbe"] | {"letters": 30})


def test_a_mixture_overlaps_and_says_who_speaks_when(read):
    data = sd.from_directories(read, OPTIONS["sd"])
    overlaps = 0
    for item in data.items["test"]:
        first, second = item.clip.parts
        assert first.offset == 0.0 and 0 <= second.offset <= item.clip.seconds
        assert item.target.shape[1] == 2 and abs(len(item.target) * sd.STEP - item.clip.seconds) < 0.02
        assert not item.target[: round(second.offset / sd.STEP), 1].any(), "the second speaks before it begins"
        overlaps += item.target.all(1).any()
        assert len(item.clip.samples()) == pytest.approx(item.clip.seconds * RATE, abs=RATE * 0.01)
    assert overlaps >= 8
    again = sd.from_directories(read, OPTIONS["sd"])
    other = sd.from_directories(read, OPTIONS["sd"] | {"seed": 2})
    assert [item.clip for item in again.items["test"]] == [item.clip for item in data.items["test"]]
    assert [item.clip for item in other.items["test"]] != [item.clip for item in data.items["test"]]
    of_all = sd.from_directories(read, OPTIONS["sd"] | {"max_seconds": None})
    assert len(of_all.items["test"]) == len(data.items["test"])


def test_speech_is_what_is_loud_and_short_gaps_do_not_count():
    samples = np.zeros(3 * RATE, np.float32)
    noise = np.random.default_rng(0).normal(size=3 * RATE) * 0.1
    for start, end in ((0.5, 1.0), (1.2, 1.5), (2.0, 2.5)):  # a gap of 0.2 s is closed, one of 0.5 s is not
        samples[int(start * RATE) : int(end * RATE)] = noise[int(start * RATE) : int(end * RATE)]
    speech = sd.active(samples)
    assert len(speech) == 300
    assert speech[50:150].all() and speech[200:250].all()
    assert not speech[:47].any() and not speech[151:197].any() and not speech[251:].any()


def test_decisions_are_smoothed_and_brought_to_the_rate_of_the_reference():
    probabilities = np.array([[0.9], [0.1], [0.9], [0.9], [0.1], [0.1]])
    assert sd.decide(probabilities, 0.5, 1, 6)[:, 0].tolist() == [1, 0, 1, 1, 0, 0]
    assert sd.decide(probabilities, 0.5, 3, 6)[:, 0].tolist() == [0, 1, 1, 1, 0, 0]
    assert sd.decide(probabilities, 0.5, 1, 12)[:, 0].tolist() == [1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert sd.at_rate(np.arange(12), 6).tolist() == [1, 3, 5, 7, 9, 11]


def test_saying_that_all_speak_always_costs_what_is_silent():
    clip = Clip("a", (Part("a.wav"),), 0.04)
    items = [Item(clip, np.array([[1, 0], [1, 1], [0, 0], [0, 1]], bool))]
    assert sd.everyone(items) == pytest.approx(100 * 4 / 4)


def test_tasks_that_the_corpus_cannot_carry_say_why(read):
    for task in (er, sf):
        assert task.TASK.missing
        with pytest.raises(SecateurError, match=task.TASK.missing[:20]):
            load(task.TASK.name, {"source": "directories"}, read)
    with pytest.raises(SecateurError, match="task 'st' is unknown"):
        module("st")
    with pytest.raises(SecateurError, match="'de' is not in the corpus"):
        load("asr", OPTIONS["asr"] | {"languages": ["de"]}, read)


def test_data_that_mixes_train_and_test_is_refused():
    items = [Item(Clip(name, (Part("a.wav"),), 1.0), ("x",)) for name in "abc"]
    check(Data({"train": items[:1], "dev": items[1:2], "test": items[2:]}), "ks")
    with pytest.raises(SecateurError, match="'b' is in train and in test"):
        check(Data({"train": items[:2], "dev": items[2:], "test": items[1:2]}), "ks")
    with pytest.raises(SecateurError, match="an id occurs twice in its dev set"):
        check(Data({"train": items[:1], "dev": items[1:2] * 2, "test": items[2:]}), "ks")
    with pytest.raises(SecateurError, match="the dev set is empty"):
        check(Data({}, folds=[{"train": items[:1], "dev": [], "test": items[2:]}]), "er")
