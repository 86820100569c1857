import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from secateur.core.errors import SecateurError
from secateur.speech.data import BatchPlan, SpeechExamples, TextExamples
from secateur.speech.datadir import Utterance, write_data_dir
from secateur.speech.features import extract
from secateur.speech.tokens import Tokenizer, train_characters


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    budget=st.integers(1, 200),
    seed=st.integers(0, 5),
    two_groups=st.booleans(),
)
def test_an_epoch_holds_every_utterance_once_within_the_budget(lengths, budget, seed, two_groups):
    table = {f"u{index}": length for index, length in enumerate(lengths)}
    groups = {name: str(index % 2) for index, name in enumerate(table)} if two_groups else None
    plan = BatchPlan(table, budget, seed, groups)
    batches = plan.epoch(3)
    assert sorted(name for batch in batches for name in batch) == sorted(table)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(table[name] for name in batch) <= budget
        if groups:
            assert len({groups[name] for name in batch}) == 1


def test_steps_run_through_the_epochs_and_can_be_asked_for_in_any_order():
    table = {f"u{index}": 5 + index for index in range(17)}
    plan = BatchPlan(table, 40, 1)
    expected = [batch for epoch in range(6) for batch in BatchPlan(table, 40, 1).epoch(epoch)]
    order = [20, 3, 0, 25, 7]
    assert [plan.step(step) for step in order] == [expected[step] for step in order]
    assert plan.epoch(0) != plan.epoch(1)
    assert BatchPlan(table, 40, 2).epoch(0) != plan.epoch(0)


def test_variants_are_drawn_anew_every_epoch():
    plan = BatchPlan({f"u{index}": 5 for index in range(50)}, 20, 1, variants=("", "sp0.9-", "sp1.1-"))
    first, second = ({name for batch in plan.epoch(epoch) for name in batch} for epoch in (0, 1))
    assert {name.rpartition("-")[0] for name in first} == {"", "sp0.9", "sp1.1"}
    assert first != second


def test_no_utterances_is_an_error():
    with pytest.raises(SecateurError, match="no utterances"):
        BatchPlan({}, 10, 1)


@pytest.fixture
def speech(tmp_path):
    """Two utterances of noise, 0.3 s and 0.5 s, with features at speeds 1 and 0.9."""
    import soundfile

    rng = np.random.default_rng(0)
    utterances = []
    for name, seconds, text in (("spam", 0.3, "ab"), ("eggs", 0.5, "b a")):
        soundfile.write(tmp_path / f"{name}.wav", rng.normal(0, 0.1, int(seconds * 16000)), 16000)
        utterances.append(Utterance(name, str(tmp_path / f"{name}.wav"), text, "s", "en", seconds))
    write_data_dir(tmp_path / "data", utterances)
    extract(tmp_path / "data", tmp_path / "features", speeds=(1.0, 0.9))
    return SpeechExamples([(tmp_path / "features", tmp_path / "data")], Tokenizer(train_characters(["ab"])), (1.0, 0.9))


def test_speech_batches_are_padded_and_variants_keep_their_transcript(speech):
    batch = speech.load(["sp0.9-spam", "eggs"])
    assert batch.languages == ["en", "en"]
    lengths = batch.tensors["speech_lengths"].tolist()
    assert lengths == [int((0.3 / 0.9 * 16000 - 400) // 160) + 1, int((0.5 * 16000 - 400) // 160) + 1]
    assert batch.tensors["speech"].shape == (2, max(lengths), 80)
    assert torch.all(batch.tensors["speech"][0, lengths[0] :] == 0)
    # <blank> <unk> <space> a b: an utterance whose name starts like a variant's prefix is itself
    assert batch.tensors["text"].tolist() == [[3, 4, -1], [4, 2, 3]]
    assert speech.load(["spam"]).tensors["text"].tolist() == [[3, 4]]


def test_text_batches():
    examples = TextExamples(["ab", "b"], Tokenizer(train_characters(["ab"])))
    batch = examples.load(list(examples.lengths))
    assert batch.tensors["text"].tolist() == [[3, 4], [4, 0]]
    assert batch.tensors["text_lengths"].tolist() == [2, 1]
