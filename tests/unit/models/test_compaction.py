"""Physical removal of weights: what is left computes what the whole computes with zeros in the places removed."""

import pytest
import torch
from espnet.nets.pytorch_backend.transformer.positionwise_feed_forward import PositionwiseFeedForward

from secateur.core.errors import SecateurError
from secateur.models.surgery.compaction import keep_inputs, keep_outputs, keep_slices, keep_units, remove_block


def random_index(generator, size):
    kept = torch.rand(size, generator=generator) < torch.rand((), generator=generator)
    kept[torch.randint(size, (), generator=generator)] = True
    return kept.nonzero()[:, 0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bias", [True, False])
def test_outputs_and_inputs(seed, bias):
    generator = torch.Generator().manual_seed(seed)
    linear, x = torch.nn.Linear(7, 9, bias=bias).double(), torch.randn(3, 7, generator=generator).double()
    index = random_index(generator, 9)
    expected = linear(x)[:, index]
    keep_outputs(linear, index)
    torch.testing.assert_close(linear(x), expected)
    assert (linear.out_features, linear.weight.shape) == (len(index), (len(index), 7))
    assert linear.bias is None or linear.bias.shape == (len(index),)

    index = random_index(generator, 7)
    zeroed = torch.zeros_like(x).index_copy(1, index, x[:, index])
    expected = linear(zeroed)
    keep_inputs(linear, index.tolist())
    torch.testing.assert_close(linear(x[:, index]), expected)
    assert linear.in_features == linear.weight.shape[1] == len(index)


@pytest.mark.parametrize("seed", range(5))
def test_units_of_a_feed_forward_network(seed):
    generator = torch.Generator().manual_seed(seed)
    network, x = PositionwiseFeedForward(6, 16, 0.0).double(), torch.randn(2, 5, 6, generator=generator).double()
    index = random_index(generator, 16)
    mask = torch.zeros(16).double()
    mask[index] = 1
    hook = network.w_2.register_forward_pre_hook(lambda _, arguments: (arguments[0] * mask,))
    expected = network(x)
    hook.remove()
    keep_units(network.w_1, network.w_2, index)
    torch.testing.assert_close(network(x), expected)
    assert sum(p.numel() for p in network.parameters()) == len(index) * (6 + 1 + 6) + 6


def test_dtype_and_requires_grad_survive():
    linear = torch.nn.Linear(4, 4).to(torch.bfloat16)
    linear.weight.requires_grad = False
    keep_outputs(linear, [0, 2])
    assert linear.weight.dtype == torch.bfloat16
    assert not linear.weight.requires_grad
    assert linear.bias.requires_grad
    assert linear.weight.untyped_storage().nbytes() == 2 * 4 * 2  # a copy: the whole can be freed


@pytest.mark.parametrize("index", [[], [1, 0], [1, 1], [-1, 2], [0, 4], [0.0, 1.0], [True, False], [[0, 1]]])
def test_an_index_must_ascend_within_the_layer(index):
    with pytest.raises(SecateurError):
        keep_outputs(torch.nn.Linear(4, 4), index)
    with pytest.raises(SecateurError):
        keep_inputs(torch.nn.Linear(4, 4), index)
    with pytest.raises(SecateurError):
        keep_slices(torch.nn.Linear(4, 4), "weight", index, 1)


def test_units_need_layers_that_fit():
    with pytest.raises(SecateurError, match="8 outputs and the second 4 inputs"):
        keep_units(torch.nn.Linear(4, 8), torch.nn.Linear(4, 4), [0])


class Layer(torch.nn.Module):
    def __init__(self, normalize_before=True):
        super().__init__()
        self.norm, self.block = torch.nn.LayerNorm(4), torch.nn.Linear(4, 4)
        self.normalize_before = normalize_before

    def forward(self, x):
        return x + self.block(self.norm(x))


def test_a_removed_block_leaves_its_input():
    layer, x = Layer(), torch.randn(2, 3, 4)
    remove_block(layer, "block", "norm")
    assert torch.equal(layer(x), x)
    assert not list(layer.parameters())


def test_a_norm_that_follows_its_block_stays():
    with pytest.raises(SecateurError, match="without 'norm'"):
        remove_block(Layer(normalize_before=False), "block", "norm")
    layer = Layer(normalize_before=False)
    remove_block(layer, "block")
    assert isinstance(layer.norm, torch.nn.LayerNorm)
    with pytest.raises(SecateurError, match="has no module 'attention'"):
        remove_block(layer, "attention")
