"""Gates on the channels of the convolutional front end, by hand and against the compacted encoder."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from gated_student import GATED, starting_at
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from secateur.core.errors import SecateurError
from secateur.core.files import read_json
from secateur.models.upstream.config import EncoderConfig
from secateur.models.upstream.encoder import Encoder
from secateur.ssl.channels import ChannelGates, compact_front, folded, front_parameters, remaining, sparsity, split
from secateur.ssl.checkpoints import load_upstream
from secateur.ssl.checks import greatest_front_sparsity
from secateur.ssl.distillation import SparsityTarget
from secateur.ssl.export import export_encoder
from secateur.ssl.gated import fold
from secateur.ssl.speed import scaled
from secateur.ssl.students import make_student, save_student

BASE = EncoderConfig(
    hidden_size=12,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=10,
    conv_dim=(6, 8, 7),
    conv_stride=(5, 4, 2),
    conv_kernel=(10, 5, 2),
    num_conv_pos_embeddings=5,
    num_conv_pos_embedding_groups=2,
    num_buckets=8,
    max_bucket_distance=10,
)
LARGE = replace(BASE, feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True)
DATA2VEC = replace(
    BASE, model_type="data2vec-audio", feat_extract_norm="layer", num_conv_pos_embeddings=2, conv_pos_kernel_size=3
)
CONFIGS = [BASE, LARGE, DATA2VEC]
STUDENT = replace(GATED, log_alpha=starting_at(2.0), sparsity=0.4, conv_sparsity=0.5)


def encoder(config, seed=0):
    """All parameters are random and matter; no dropout."""
    torch.manual_seed(seed)
    model = Encoder(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def random_gates(config, seed, binary=False):
    """Gates that are closed, open and in between; at least one of every convolution is not closed."""
    generator = torch.Generator().manual_seed(seed)
    gates = torch.rand(sum(config.conv_dim), generator=generator)
    gates = torch.where(gates < 0.3, 1.0, gates)
    closed = torch.rand(gates.shape, generator=generator) < torch.rand((), generator=generator)
    gates = torch.where(closed, 0.0, torch.ones_like(gates) if binary else gates)
    for part in split(gates, config):
        part[int(torch.randint(len(part), (), generator=generator))] = 1.0
    return gates


def speech():
    generator = torch.Generator().manual_seed(5)
    waves = [torch.randn(samples, generator=generator) for samples in (900, 600)]
    return torch.nn.utils.rnn.pad_sequence(waves, batch_first=True), torch.tensor([900, 600])


@torch.no_grad()
def gated_states(model, gates):
    front = folded(model, gates)
    features, frames = model.features(*speech(), front)
    return model.contextualize(features, frames, front=front), frames


@contextmanager
def double_precision():
    """All in float64. A norm over two channels that are nearly alike makes rounding in float32 far larger."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), config=st.sampled_from(CONFIGS))
@example(seed=4697, config=DATA2VEC)
@torch.no_grad()
def test_the_compacted_front_end_computes_what_the_gated_one_does(seed, config):
    with double_precision():
        model, gates = encoder(config), random_gates(config, seed)
        wanted, frames = gated_states(model, gates)
        smaller = compact_front(model, gates)
        hidden, _ = smaller(*speech())
    assert smaller.config.conv_dim == tuple(int((part > 0).sum()) for part in split(gates, config))
    for state, want in zip(hidden, wanted, strict=True):
        assert state.dtype == torch.float64
        for row, other, count in zip(state, want, frames, strict=True):
            torch.testing.assert_close(row[:count], other[:count], rtol=1e-9, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), config=st.sampled_from(CONFIGS))
@torch.no_grad()
def test_parameters_as_a_function_of_gates_are_those_of_the_compacted_front_end(seed, config):
    model, gates = encoder(config), random_gates(config, seed, binary=True).double()
    smaller = compact_front(model, gates.float())
    assert front_parameters(smaller) == remaining(gates, config)
    assert front_parameters(model) == remaining(torch.ones_like(gates), config)
    assert sparsity(gates, config) == pytest.approx(1 - front_parameters(smaller) / front_parameters(model))


@torch.no_grad()
def test_open_gates_change_nothing():
    for config in CONFIGS:
        model = encoder(config)
        wanted, frames = model(*speech())
        found, _ = gated_states(model, torch.ones(sum(config.conv_dim)))
        for state, want in zip(found, wanted, strict=True):
            torch.testing.assert_close(state[0, : frames[0]], want[0, : frames[0]], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_large_front_end_by_hand():
    """Convolution, norm over the channels that are left, GELU, gate; and the norm of the projection likewise."""
    model, gates = encoder(LARGE), torch.ones(21)
    first, second, third = split(gates, LARGE)
    first[[1, 4]], first[2], second[[0, 7]], third[3], third[5] = 0.0, 0.5, 0.0, 0.0, 0.25
    hidden = torch.randn(1, 1, 900)
    wanted = hidden
    for layer, part in zip(model.feature_extractor.conv_layers, (first, second, third), strict=True):
        left = part > 0
        found = functional.conv1d(wanted, layer.conv.weight, layer.conv.bias, layer.conv.stride)[:, left]
        norm = layer.layer_norm
        found = functional.layer_norm(found.transpose(1, 2), (int(left.sum()),), norm.weight[left], norm.bias[left])
        wanted = torch.zeros(1, len(part), found.shape[1])
        wanted[:, left] = functional.gelu(found.transpose(1, 2)) * part[left, None]
    left, projection = third > 0, model.feature_projection
    unscaled = (wanted[:, left] / third[left, None]).transpose(1, 2)  # the last gate comes after the norm
    norm = projection.layer_norm
    normed = functional.layer_norm(unscaled, (int(left.sum()),), norm.weight[left], norm.bias[left])
    wanted = functional.linear(normed * third[left], projection.projection.weight[:, left], projection.projection.bias)
    front = folded(model, gates)
    features, _ = model.features(hidden[0], torch.tensor([900]), front)
    found = torch.func.functional_call(projection, dict(front.projection), (features, front.kept[-1]))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_expected_sparsity_is_the_mean_over_draws_and_differentiable():
    torch.manual_seed(0)
    gates = ChannelGates(LARGE, True, 0.0, 1.0).double()
    with torch.no_grad():
        gates.log_alpha.normal_(0.0, 1.5)
    draws = torch.stack([sparsity((gates.sample() > 0).double(), LARGE) for _ in range(3000)]).detach()
    expected = gates.expected_sparsity()
    assert expected.item() == pytest.approx(draws.mean().item(), abs=5 * draws.std().item() / 3000**0.5)
    expected.backward()
    assert (gates.log_alpha.grad < 0).all()


@pytest.mark.parametrize("centre", [-4.0, 0.0, 4.0])
def test_gates_settle_at_the_target_by_one_threshold_and_leave_a_channel_of_every_convolution(centre):
    config = replace(BASE, conv_dim=(64, 64, 64))
    torch.manual_seed(1)
    gates = ChannelGates(config, True, 0.0, 1.0)
    torch.nn.init.normal_(gates.log_alpha, centre, 2.0)
    for target in (0.0, 0.3, 0.7):
        settled = gates.settle(target)
        assert sparsity((settled > 0).double(), config).item() == pytest.approx(target, abs=0.01)
        log_alpha = gates.log_alpha.detach()
        last = {int(part.argmax()) + 64 * place for place, part in enumerate(split(log_alpha, config))}
        closed = [place for place in range(192) if settled[place] == 0]
        opened = [place for place in range(192) if settled[place] > 0 and place not in last]
        assert not closed or log_alpha[closed].max() <= log_alpha[opened].min()
    assert all((part > 0).any() for part in split(gates.settle(0.9999), config))


def test_a_convolution_without_channels_is_refused():
    gates = torch.ones(21)
    gates[6:14] = 0.0
    with pytest.raises(SecateurError, match="convolution 2: no channel is left; lower conv_sparsity"):
        compact_front(encoder(BASE), gates)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_check_knows_the_greatest_sparsity(config):
    gates = torch.zeros(sum(config.conv_dim), dtype=torch.float64)
    for part in split(gates, config):
        part[0] = 1.0
    assert greatest_front_sparsity(config.to_dict()) == pytest.approx(sparsity(gates, config).item())


@pytest.mark.parametrize("config", CONFIGS)
def test_a_student_is_distilled_through_gates_on_channels_and_saved_smaller(config, tmp_path):
    torch.manual_seed(0)
    model = make_student(Encoder(config).eval(), STUDENT).train()
    target = SparsityTarget(0.4, 2, 4, 1, channels=0.5)
    target.start(model, None)
    target.before_forward(0, None)
    assert (model.target, model.channel_target) == pytest.approx((0.2, 0.25))
    loss, *_ = model(*speech())
    loss.backward()
    assert model.channels.log_alpha.grad.abs().sum() > 0 and model.channel_lambdas.grad.abs().sum() > 0
    with torch.no_grad():
        for log_alpha in (*model.gates.log_alpha.values(), model.channels.log_alpha):
            log_alpha.normal_(0.0, 3.0)
    record = {}
    save_student(tmp_path, record, model, target)
    assert record["conv_sparsity"] == pytest.approx(0.5, abs=0.1)
    loaded, student = load_upstream(tmp_path), model.student.eval()
    assert front_parameters(loaded) == round((1 - record["conv_sparsity"]) * front_parameters(student))
    assert read_json(tmp_path / "config.json")["conv_dim"] == list(loaded.config.conv_dim)
    with torch.no_grad():
        front, weights = folded(student, model.channels.settle(0.5)), fold(student, model.gates.settle(0.4))
        features, frames = student.features(*speech(), front)
        wanted = student.contextualize(features, frames, weights=weights, front=front)
        for state, want in zip(loaded(*speech())[0], wanted, strict=True):
            for row, other, count in zip(state, want, frames, strict=True):
                torch.testing.assert_close(row[:count], other[:count], rtol=1e-4, atol=1e-4)


def test_an_encoder_with_fewer_channels_is_exported(tmp_path):
    model = encoder(replace(LARGE, conv_stride=(16, 5, 4), conv_kernel=(20, 6, 4)))
    smaller = compact_front(model, random_gates(LARGE, 3))
    assert export_encoder(smaller, tmp_path / "model.onnx") < 1e-3


def test_shares_of_channels_scale_to_another_size():
    pruned = replace(BASE, conv_dim=(3, 8, 1))
    found = scaled(pruned, 2, EncoderConfig(), BASE.conv_dim)
    assert found.conv_dim == (256, 256, 256, 512, 512, 73, 73)
    assert scaled(BASE, 2, EncoderConfig(), BASE.conv_dim).conv_dim == (512,) * 7
