import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur.core.errors import SecateurError
from secateur.speech.corpora.splits import MINIMUM_WORDS, closed_vocabulary
from secateur.speech.datadir import Utterance


def utterances(texts):
    return [Utterance(f"u{number}", f"u{number}.wav", text, "s", "en", 1.0) for number, text in enumerate(texts)]


def words(members):
    return {word for utterance in members for word in utterance.text.split()}


SENTENCES = st.lists(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=60
)


@given(SENTENCES, st.integers(0, 8), st.integers(0, 8))
def test_closed_disjoint_and_complete(texts, dev, test):
    members = utterances(texts)
    try:
        chosen = closed_vocabulary(members, dev, test)
    except SecateurError:
        return
    ids = [utterance.id for split in chosen.values() for utterance in split]
    assert sorted(ids) == sorted(utterance.id for utterance in members)
    assert words(chosen["dev"]) | words(chosen["test"]) <= words(chosen["train"])
    transcripts = [{utterance.text for utterance in split} for split in chosen.values()]
    assert not (transcripts[0] & transcripts[1] or transcripts[0] & transcripts[2] or transcripts[1] & transcripts[2])
    assert all(len(u.text.split()) >= MINIMUM_WORDS for name in ("dev", "test") for u in chosen[name])
    assert len(chosen["dev"]) + len(chosen["test"]) <= dev + test and len(chosen["test"]) <= test


def plenty(number):
    """Distinct sentences of three words, each word in many of them."""
    return utterances([f"{a} {b} {c}" for a in "abcd" for b in "efgh" for c in "ijklm"][:number])


def test_exact_sizes_when_there_are_enough_candidates():
    chosen = closed_vocabulary(plenty(80), dev=5, test=20)
    assert {name: len(members) for name, members in chosen.items()} == {"train": 55, "dev": 5, "test": 20}


def test_same_split_whatever_the_order_of_the_utterances():
    members = plenty(80)
    shuffled = random.Random(3).sample(members, len(members))
    first, second = closed_vocabulary(members, 5, 20), closed_vocabulary(shuffled, 5, 20)
    assert first["test"] == second["test"] and first["dev"] == second["dev"]
    assert sorted(first["train"], key=lambda u: u.id) == sorted(second["train"], key=lambda u: u.id)


def test_both_sets_shrink_in_proportion():
    # six transcripts of the same three words: five can go, one has to stay in train
    members = utterances(["a b c", "a c b", "b a c", "b c a", "c a b", "c b a"])
    chosen = closed_vocabulary(members, dev=4, test=6)
    assert (len(chosen["train"]), len(chosen["dev"]), len(chosen["test"])) == (1, 2, 3)


def test_copies_of_a_transcript_stay_together():
    members = utterances(["x y z", "x y z", "z y x", "y x z"])
    chosen = closed_vocabulary(members, dev=1, test=2)
    where = {u.id: name for name, split in chosen.items() for u in split}
    assert where["u0"] == where["u1"]


def test_an_empty_set_is_an_error():
    with pytest.raises(SecateurError, match="test set: only 0 of 2 utterances"):
        closed_vocabulary(utterances(["one two three", "four five six"]), dev=1, test=1)


def test_nothing_wanted():
    assert closed_vocabulary(plenty(8), 0, 0)["train"] == plenty(8)


def test_a_group_that_does_not_fit_into_test_goes_to_dev():
    # every transcript occurs twice, so test cannot have exactly three
    members = utterances(["a b c", "a c b", "b a c", "b c a", "c a b", "c b a"] * 2)
    chosen = closed_vocabulary(members, dev=3, test=3)
    assert {name: len(split) for name, split in chosen.items()} == {"train": 6, "dev": 4, "test": 2}
