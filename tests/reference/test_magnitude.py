"""Magnitude masks against torch.nn.utils.prune, where no two magnitudes are equal."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from secateur.models.build import build_model
from secateur.pruning.engines.mask import kept
from secateur.pruning.engines.ranking import magnitude_mask, shares

TOKENS = ["<blank>", "<unk>", "a", "<sos/eos>"]
CONFIG = {
    "type": "ctc",
    "features": 8,
    "input": "stack",
    "stack": 4,
    "encoder": {
        "type": "conformer",
        "layers": 2,
        "dim": 16,
        "heads": 2,
        "ffn": 32,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "kernel": 3,
    },
    "intermediate_ctc": {"layers": [], "weight": 0.0},
    "stochastic_depth": 0.0,
}


def feed_forward() -> nn.Module:
    return nn.ModuleDict({"encoder": nn.Sequential(nn.Linear(40, 31), nn.Tanh(), nn.Linear(31, 7))})


def recurrent() -> nn.Module:
    return nn.ModuleDict({"encoder": nn.Linear(24, 9), "predictor": nn.LSTM(9, 12, num_layers=2)})


def conformer() -> nn.Module:
    return build_model(CONFIG, TOKENS)


def places(model: nn.Module, names: list[str]) -> list[tuple[nn.Module, str]]:
    return [(model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in names]


def distinct_weights(model: nn.Module, seed: int) -> None:
    """Give all weights of the model different magnitudes and random signs."""
    generator = torch.Generator().manual_seed(seed)
    total = sum(parameter.numel() for parameter in model.parameters())
    values = (torch.randperm(total, generator=generator) + 1) / total
    values *= torch.randint(0, 2, (total,), generator=generator) * 2 - 1
    assert values.abs().unique().numel() == total
    nn.utils.vector_to_parameters(values, model.parameters())


@pytest.mark.filterwarnings("ignore:RNN module weights are not part of single contiguous chunk")
@pytest.mark.parametrize("make", [feed_forward, recurrent, conformer])
@pytest.mark.parametrize("seed, sparsity", [(1, 0.2), (2, 0.5), (3, 0.7), (4, 0.95), (5, 0.123)])
@pytest.mark.parametrize("ranking", ["global", "layerwise"])
def test_equals_torchs_pruning(make, seed, sparsity, ranking):
    model = make()
    distinct_weights(model, seed)
    mask = magnitude_mask(model, sparsity, ranking)
    assert mask.kept == kept(mask.total, sparsity)
    parts = places(model, list(mask))
    if ranking == "global":
        prune.global_unstructured(parts, prune.L1Unstructured, amount=mask.total - mask.kept)
    else:
        sizes = [bits.numel() for bits in mask.values()]
        for (module, name), size, share in zip(parts, sizes, shares(sizes, mask.kept), strict=True):
            prune.l1_unstructured(module, name, amount=size - share)
    for name, (module, attribute) in zip(mask, parts, strict=True):
        assert torch.equal(getattr(module, f"{attribute}_mask").bool(), mask[name]), name
