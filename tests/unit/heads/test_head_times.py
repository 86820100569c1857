"""The table of attention times: whose differences it is made of, with a clock that counts instead of waiting."""

import pytest
import torch
from small_models import EMFORMER, HYBRID, TOKENS
from tiny import run_script, write_features
from trained_hugging_face import FIXTURES

from secateur.core.files import read_json
from secateur.heads import times
from secateur.heads.times import attention_times
from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.models.no_block import NoBlock
from secateur.models.surgery.heads import BLOCKS, attentions
from secateur.speech.datadir import Utterance, write_data_dir
from secateur.speech.tokens import take_tokens


class Counter:
    """Instead of seconds, how many numbers projections to queries have put out: rows × heads × size of a head."""

    rows = 0.0

    def __init__(self, device):
        self.seconds = 0.0

    def __enter__(self):
        Counter.rows = 0.0
        return self

    def __exit__(self, *_):
        self.seconds = 100.0 + Counter.rows  # and as much as the rest of the model


@pytest.fixture
def counted(monkeypatch):
    def keep_heads_and_count(whole, block, count):
        model = original(whole, block, count)
        for attention in attentions(model).values():
            if not isinstance(attention.module, NoBlock):
                attention.module.linear_q.register_forward_hook(note)
        return model

    def note(linear, _, output):
        Counter.rows += output.numel()

    original = times._with_heads
    monkeypatch.setattr(times, "_with_heads", keep_heads_and_count)
    monkeypatch.setattr(times, "Stopwatch", Counter)


def test_a_block_is_what_its_heads_add_per_layer(counted):
    """conv2d makes 24 frames of 100; the decoder takes 4 steps with 3 hypotheses, one new position each."""
    found, conditions = attention_times(HYBRID, TOKENS, 100, 4, 3, 2, torch.device("cpu"))
    assert found.keys() == conditions.keys() and conditions["encoder-self"]["same"] == 1.0
    assert found["encoder-self"] == [24 * 8 * heads for heads in range(4)]
    assert found["decoder-self"] == found["decoder-source"] == [4 * 3 * 12 * heads for heads in range(3)]


def test_the_whole_architecture_is_measured(counted):
    smaller = HYBRID | {
        "encoder": HYBRID["encoder"] | {"kept": [1, 3]},
        "kept_heads": {"encoder-self": {"1": [2], "3": []}, "decoder-self": {"1": [], "2": [1]}},
    }
    whole, found = (attention_times(config, TOKENS, 100, 4, 3, 2, torch.device("cpu")) for config in (HYBRID, smaller))
    assert found[0] == whole[0]


def test_encoders_that_stream_are_measured_too():
    found, _ = attention_times(EMFORMER, TOKENS, 200, 4, 3, 3, torch.device("cpu"))
    assert list(found) == ["encoder-self"]
    assert found["encoder-self"][0] == 0.0 < found["encoder-self"][3]


def test_the_decoder_of_whisper_is_measured_as_it_generates(counted):
    """Its encoder makes 100 frames of every window; 4 steps with 3 hypotheses, keys and values of the past kept."""
    found = formats.describe(FIXTURES / "whisper")
    measured, _ = attention_times(found.model, found.tokens, 70, 4, 3, 2, torch.device("cpu"))
    assert measured["encoder-self"] == [100 * 12 * heads for heads in range(5)]
    assert measured["decoder-self"] == measured["decoder-source"] == [4 * 3 * 12 * heads for heads in range(5)]


def test_steps_of_whisper_are_its_pieces_and_the_end(tmp_path):
    """The prompt, in the corpus' language, is heard in the first step; here a piece is a byte, and a space begins."""
    source = FIXTURES / "whisper"
    found = formats.load(source)
    save_model(tmp_path / "model", found.model, found.config, found.tokens)
    take_tokens(tmp_path, found.tokens, formats.describe(source).pieces)
    texts = ("ab", "abc", "abcd", "abcd ea", "abcd eab")
    names = [f"en-{number}" for number in range(len(texts))]
    utterances = [Utterance(name, f"{name}.wav", text, "s", "en", 0.4) for name, text in zip(names, texts, strict=True)]
    write_data_dir(tmp_path / "data", utterances)
    write_features(tmp_path / "features", dict.fromkeys(names, 40), bins=160)
    folders = [("--model", "model"), ("--tokens", "tokens.txt"), ("--data", "data"), ("--features", "features")]
    words = [word for flag, name in folders for word in (flag, tmp_path / name)]
    run_script(
        "head_times", *words, "--repeats", 2, "--beam", 1, "--device", "cpu", "--output", tmp_path / "times.json"
    )
    times = read_json(tmp_path / "times.json")
    assert (times["frames"], times["steps"]) == (40, 1 + 4 + 1)
    assert {block: len(seconds) for block, seconds in times["seconds"].items()} == dict.fromkeys(BLOCKS, 5)
