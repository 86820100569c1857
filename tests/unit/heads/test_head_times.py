"""The table of attention times: whose differences it is made of, with a clock that counts instead of waiting."""

import pytest
import torch
from small_models import EMFORMER, HYBRID, TOKENS

from secateur.heads import times
from secateur.heads.times import attention_times
from secateur.models.no_block import NoBlock


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
        for layer in [*model.encoder.encoders, *getattr(getattr(model, "decoder", None), "decoders", ())]:
            for name in ("self_attn", "src_attn", "attention"):
                attention = getattr(layer, name, None)
                if attention is not None and not isinstance(attention, NoBlock):
                    attention.linear_q.register_forward_hook(note)
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
    whole, found = (attention_times(config, TOKENS, 100, 4, 3, 1, torch.device("cpu")) for config in (HYBRID, smaller))
    assert found[0] == whole[0]


def test_encoders_that_stream_are_measured_too():
    found, _ = attention_times(EMFORMER, TOKENS, 200, 4, 3, 3, torch.device("cpu"))
    assert list(found) == ["encoder-self"]
    assert found["encoder-self"][0] == 0.0 < found["encoder-self"][3]
