"""What gated layers cost: parameters, multiply–adds, time; counted by hand, and in compacted encoders."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.core.errors import SecateurError
from secateur.models.upstream.config import MEL, EncoderConfig
from secateur.models.upstream.encoder import Encoder
from secateur.ssl import costs
from secateur.ssl.costs import Costs
from secateur.ssl.gated import EncoderGates, compact, open_gates, remaining, sparsity
from secateur.ssl.gates import open_probability
from secateur.ssl.options import FINE, KINDS
from secateur.ssl.speed import macs_per_second

CONFIG = EncoderConfig(
    hidden_size=12,
    num_hidden_layers=3,
    num_attention_heads=3,
    intermediate_size=20,
    front_end=MEL,
    mel_bins=20,
    num_conv_pos_embeddings=5,
    num_conv_pos_embedding_groups=2,
    num_buckets=8,
    max_bucket_distance=10,
)
SIMPLE = Costs(attention=5.0, head=3.0, qk=2.0, vo=1.0, feed_forward=7.0, unit=0.5)


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    return Encoder(CONFIG).eval()


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("mha", 17.0),  # the feed-forward block: 7 + 20 · 0.5
        ("ffn", 50.0),  # attention: 5 + 3 · (3 + 4 · 2 + 4 · 1)
        ("heads", 5.0 + 17.0),
        ("qk", 26.0 + 17.0),  # 5 + 3 · (3 + 4)
        ("vo", 5.0 + 17.0),  # without values, a head is gone
        ("int", 50.0 + 7.0),
    ],
)
def test_the_expected_sparsity_by_hand_for_each_kind_of_gate(kind, left):
    """One kind of gate at a time, in layers of 3 heads of width 4 and 20 units that cost 67."""
    gates = EncoderGates(CONFIG, [kind], True, 0.7, 1.0, SIMPLE)
    with torch.no_grad():
        gates.log_alpha[kind].fill_(-40.0)
    assert 1 - gates.expected_sparsity().item() == pytest.approx(left / 67, abs=1e-6)
    with torch.no_grad():
        gates.log_alpha[kind].fill_(0.7)
    share = open_probability(torch.tensor(0.7)).item()
    expected = left + share * (67 - left)
    if kind == "vo":  # a head and its queries are there as long as one of four values is
        expected = 5 + 17 + 3 * ((1 - (1 - share) ** 4) * (3 + 8) + 4 * share)
    assert 1 - gates.expected_sparsity().item() == pytest.approx(expected / 67, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), wavlm=st.booleans())
def test_multiply_adds_as_a_function_of_gates_are_those_of_the_compacted_encoder(seed, wavlm):
    config = replace(CONFIG, model_type="wavlm" if wavlm else "hubert")
    torch.manual_seed(seed)
    encoder, gates = Encoder(config).eval(), open_gates(config)
    for kind in KINDS:
        gates[kind] = (torch.rand(gates[kind].shape) > torch.rand(()) ** 2).float()
    counted = costs.multiply_adds(config)
    gone = remaining(open_gates(config), config, counted, padded=True) - remaining(gates, config, counted, padded=True)
    frames = config.frames(160000)
    found = macs_per_second(encoder) - macs_per_second(compact(encoder, gates))
    assert found == pytest.approx(float(gone.sum()) * frames / 10, rel=1e-4, abs=2)


@pytest.mark.parametrize("target", [0.4, 0.7])
def test_a_target_in_multiply_adds_is_met_within_a_point(teacher, target):
    """As they are counted in the encoder that is left: the layers' own, without what is not theirs."""
    teacher = Encoder(replace(teacher.config, intermediate_size=120)).eval()
    empty = {kind: torch.zeros_like(value) for kind, value in open_gates(teacher.config).items()}
    rest = macs_per_second(compact(teacher, empty))
    whole = macs_per_second(teacher) - rest
    for seed in range(3):
        torch.manual_seed(seed)
        gates = EncoderGates(teacher.config, FINE, True, 2.0, 1.0, costs.costs_of("macs", teacher))
        for parameter in gates.log_alpha.values():
            torch.nn.init.normal_(parameter, 1.0, 3.0)
        settled = gates.settle(target)
        left = (macs_per_second(compact(teacher, settled)) - rest) / whole
        assert 1 - left == pytest.approx(gates.sparsity_of(settled), abs=2e-3) == pytest.approx(target, abs=0.01)


def test_coefficients_of_time_are_those_behind_the_times_of_blocks():
    """Times made of known coefficients, of 12 heads of width 64 and 3072 units."""
    wanted = Costs(3e-3, 2e-4, 4e-6, 5e-6, 1e-3, 6e-6)

    def attention(heads, qk, vo):
        return wanted.attention + heads * (wanted.head + wanted.qk * qk + wanted.vo * vo)

    seconds = {
        "whole": attention(12, 64, 64),
        "qk": attention(12, 32, 64),
        "vo": attention(12, 64, 32),
        "heads": attention(6, 64, 64),
        "ffn": 1e-3 + 6e-6 * 3072,
        "unit": 1e-3 + 6e-6 * 1536,
    }
    assert costs.fitted(seconds, 12, 64, 3072) == pytest.approx(wanted, rel=1e-9)
    noisy = costs.fitted(seconds | {"qk": seconds["whole"] + 1, "unit": seconds["ffn"] + 1}, 12, 64, 3072)
    assert noisy.qk == noisy.unit == 0 and min(noisy) >= 0
    assert noisy.attention + 12 * (noisy.head + 64 * noisy.vo) == pytest.approx(seconds["whole"])


def test_a_target_in_time_is_met_by_what_was_measured(teacher):
    """Measured here and now; a share of that cost is what settled gates remove."""
    found = costs.costs_of("latency", teacher)
    assert min(found) >= 0 and found.attention + found.head + found.qk + found.vo > 0
    gates = EncoderGates(teacher.config, FINE, True, 1.0, 1.0, SIMPLE)
    for seed in range(3):
        torch.manual_seed(seed)
        for parameter in gates.log_alpha.values():
            torch.nn.init.normal_(parameter, 0.0, 3.0)
        settled = {kind: (value > 0).double() for kind, value in gates.settle(0.6).items()}
        assert float(sparsity(settled, teacher.config, SIMPLE)) == pytest.approx(0.6, abs=0.01)


def test_measured_costs_are_saved_with_a_training(teacher):
    """A run that resumes does not measure again, or it would end elsewhere."""
    first, second = (EncoderGates(teacher.config, FINE, True, 1.0, 1.0, SIMPLE._replace(qk=qk)) for qk in (2.0, 9.0))
    second.load_state_dict(first.state_dict())
    assert second.costs == pytest.approx(SIMPLE)


def test_a_target_that_there_is_not_is_refused(teacher):
    with pytest.raises(SecateurError, match="target 'bytes'; choose one of parameters, macs, latency"):
        costs.costs_of("bytes", teacher)
