"""Counts against hand-computed numbers."""

import itertools

import pytest
import torch
from tiny import CTC, NO_INNER_LOSS, TOKENS
from torch.profiler import ProfilerActivity, profile

from secateur.models.build import build_model
from secateur.models.size import PeakMemory, algorithmic_latency, encoding_cost, parameter_counts

CONFIG = CTC | {"stack": 4, "intermediate_ctc": NO_INNER_LOSS, "stochastic_depth": 0.0}


class Small(torch.nn.Module):
    """One linear layer as the encoder, one as the CTC head."""

    def __init__(self):
        super().__init__()
        self.linear, self.head = torch.nn.Linear(20, 8), torch.nn.Linear(8, 5)
        self.ctc = self

    def encode(self, speech, lengths):
        return self.linear(speech), lengths

    def log_softmax(self, hidden):
        return self.head(hidden)


def test_parameters_and_nonzero():
    model = Small()
    torch.nn.init.ones_(model.linear.weight)
    torch.nn.init.ones_(model.linear.bias)
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.ones_(model.head.bias)
    assert parameter_counts(model) == {"parameters": 168 + 45, "nonzero": 168 + 5}


def test_shared_parameters_count_once():
    model = torch.nn.ModuleList([torch.nn.Linear(4, 4, bias=False)] * 2)
    assert parameter_counts(model)["parameters"] == 16


def test_macs_of_linear_layers():
    assert encoding_cost(Small(), 20)["macs_per_second"] == 100 * (20 * 8 + 8 * 5)


def test_peak_memory_of_linear_layers():
    # The input is not counted; the encoder's output and the head's are alive together.
    assert encoding_cost(Small(), 20)["peak_memory"] == 4 * (213 + 1000 * (8 + 5))


def test_macs_of_a_transformer():
    model = build_model(CONFIG, TOKENS).eval()
    frames, dim, ffn = 250, 16, 32
    attention = 4 * frames * dim * dim + 2 * frames * frames * dim
    feed_forward = 2 * frames * dim * ffn
    expected = frames * 80 * dim + 3 * (attention + feed_forward) + frames * dim * len(TOKENS)
    assert encoding_cost(model, 20)["macs_per_second"] == pytest.approx(expected / 10, abs=1)


@torch.no_grad()
def test_peak_memory_follows_what_is_alive():
    start = torch.ones(1000)
    with PeakMemory() as memory:
        one = start + 1  # 4 kB
        two = one + 1  # 8 kB
        del one
        three = two.reshape(10, 100)  # shares
        four = three + 1  # 8 kB: the first is gone
        del two, three, four
        start.double()  # 8 kB
    assert memory.peak == 8000


def test_costs_are_the_same_every_time():
    torch.manual_seed(0)
    first = encoding_cost(build_model(CONFIG, TOKENS).eval(), 20)
    assert first == encoding_cost(build_model(CONFIG, TOKENS).eval(), 20)


@torch.no_grad()
def test_peak_memory_agrees_with_torchs_profiler():
    model = build_model(CONFIG, TOKENS).eval()
    speech, lengths = torch.randn(1, 200, 20), torch.tensor([200])
    model.encode(speech, lengths)
    with PeakMemory() as memory:
        model.encode(speech, lengths)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        model.encode(speech, lengths)
    changes = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = itertools.accumulate(event.nbytes() for event in sorted(changes, key=lambda event: event.start_ns()))
    assert memory.peak == max(alive)


def test_algorithmic_latency_of_models_that_stream_and_that_do_not():
    """A segment of 5 and a look-ahead of 3 frames of four times 10 ms."""
    shared = {"layers": 1, "dim": 8, "heads": 2, "ffn": 8, "dropout": 0.0, "attention_dropout": 0.0, "kernel": 5}
    streaming = {"segment": 5, "left_context": 4, "right_context": 3, "memory": 1}
    streaming |= {"positions": False, "convolution": 0, "tanh_on_memory": False}
    config = CONFIG | {"type": "rnnt", "ctc_weight": 0.0, "joiner": {"dim": 8}}
    config |= {"predictor": {"embedding": 4, "dim": 8, "layers": 1, "dropout": 0.0}}
    emformer = build_model(config | {"encoder": {"type": "emformer", **shared, **streaming}}, TOKENS)
    assert algorithmic_latency(emformer) == pytest.approx(0.32)
    whole = build_model(config | {"encoder": {"type": "transformer", **shared}}, TOKENS)
    assert algorithmic_latency(whole) is None
    assert algorithmic_latency(build_model(CONFIG, TOKENS)) is None
