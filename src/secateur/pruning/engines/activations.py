"""Pruning by weights and activations, without training: Wanda and SparseGPT.

Both look at one layer after the other, in the order in which the model runs them, with what reaches its matrices after
the layers before it were pruned, as the code of both papers does. Recordings run one at a time, so that no padding
counts. Matrices whose inputs do not show, as those of recurrent layers, keep their largest weights.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import nn

from secateur.core.errors import SecateurError
from secateur.pruning.engines.given import Given
from secateur.pruning.engines.mask import ONE_FOR_ALL, Mask, kept
from secateur.pruning.engines.ranking import largest, shares
from secateur.speech.data import Batch

DAMPING = 0.01
"""Of the mean of the diagonal of a Hessian, added to it (SparseGPT's `percdamp`)."""
COLUMNS = 128
"""Those that SparseGPT chooses a mask for at once."""
Choice = Callable[[torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]


class AtOnce:
    """A mask from weights and activations: `calibrate` makes it, and leaves the model m ⊙ θ.

    Args:
        weights: those that are prunable.
        sparsity: every matrix loses this share, to one weight.
        choice: from a matrix (out, in), the Gram matrix of its inputs (in, in) and how many weights stay, the bits
            that stay and the new matrix.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor], sparsity: float, choice: Choice):
        sizes = [weight.numel() for weight in weights.values()]
        self.choice = choice
        self.keep = dict(zip(weights, shares(sizes, kept(sum(sizes), sparsity)), strict=True))
        self.masks: dict[str, Mask] = {}

    @torch.no_grad()
    def calibrate(self, model: nn.Module, batches: Sequence[Batch]) -> None:
        """Prune `model` by what `batches`, of one recording each, are in it."""
        model.eval()
        bits = {}
        for layer in by_layer(in_order(model, list(self.keep), batches[0])):
            seen = grams(model, layer, batches)
            for name in layer:
                weight = model.get_parameter(name)
                matrix = weight.reshape(weight.shape[0], -1)
                if name in seen:
                    chosen, changed = self.choice(matrix.double(), seen[name], self.keep[name])
                else:
                    chosen = largest({name: weight.detach()}, self.keep[name])[name].reshape(matrix.shape)
                    changed = matrix
                bits[name] = chosen.view(weight.shape)
                weight.copy_(torch.where(chosen, changed.to(weight.dtype), 0.0).view(weight.shape))
        mask = Mask.of({name: bits[name] for name in self.keep})
        self.masks = {ONE_FOR_ALL: mask}
        mask.apply_(model)


def in_order(model: nn.Module, names: Sequence[str], batch: Batch) -> list[str]:
    """The weights in the order in which the model first runs their modules; those that it does not show come first."""
    ran: list[str] = []
    handles = [
        module.register_forward_pre_hook(lambda _, __, name=name: ran.append(name))
        for name in names
        if (module := _module(model, name)) is not None
    ]
    try:
        model(**batch.tensors)
    finally:
        for handle in handles:
            handle.remove()
    order = list(dict.fromkeys(ran))
    return [*(name for name in names if name not in order), *order]


def by_layer(names: Iterable[str]) -> list[list[str]]:
    """Names in their order, those of a numbered layer (`encoder.encoders.3.…`) together where its first one stands."""
    layers: dict[str, list[str]] = {}
    for name in names:
        matched = re.match(r".*?\.\d+\.", name)
        layers.setdefault(matched[0] if matched else name, []).append(name)
    return list(layers.values())


def grams(model: nn.Module, names: Sequence[str], batches: Iterable[Batch]) -> dict[str, torch.Tensor]:
    """Σ x xᵀ over all inputs x of the modules of some weights, (in, in) in float64 each, of those whose inputs show.

    Raises SecateurError for an input that is not finite.
    """
    found: dict[str, torch.Tensor] = {}

    def note(name: str, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        x = inputs[0] if _last(module, inputs[0], output) else inputs[0].transpose(1, 2)
        x = x.reshape(-1, x.shape[-1]).double()
        found[name] = found[name] + x.T @ x if name in found else x.T @ x

    modules = {name: module for name in names if (module := _module(model, name)) is not None}
    handles = [module.register_forward_hook(partial(note, name)) for name, module in modules.items()]
    try:
        for batch in batches if modules else ():
            model(**batch.tensors)
    finally:
        for handle in handles:
            handle.remove()
    for name, seen in found.items():
        if not seen.isfinite().all():
            raise SecateurError(f"{name}: an input is not finite; train the model again")
    return found


def _last(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> bool:
    """Whether a module has its inputs in the last dimension, as a linear layer has and some pointwise convolutions."""
    if isinstance(module, nn.Linear):
        return True
    weight = module.weight.squeeze(-1)
    if x.shape[-1] != weight.shape[1] or y.shape[-1] != len(weight):
        return False
    return torch.allclose(torch.nn.functional.linear(x, weight, module.bias), y, rtol=1e-3, atol=1e-4)


def _module(model: nn.Module, name: str) -> nn.Module | None:
    """The linear layer or pointwise convolution that a weight belongs to; None for others."""
    module = model.get_submodule(name.rpartition(".")[0])
    linear = isinstance(module, nn.Linear)
    pointwise = isinstance(module, nn.Conv1d) and module.kernel_size == (1,) and module.groups == 1
    return module if (linear or pointwise) and name.endswith(".weight") else None


def wanda(matrix: torch.Tensor, seen: torch.Tensor, keep: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of every output, the weights of the greatest |w|·‖x‖ (Sun et al. 2024, equation 1); weights do not change."""
    scores = matrix.abs() * seen.diagonal().sqrt()
    each = torch.tensor(shares([matrix.shape[1]] * len(matrix), keep), device=matrix.device)
    return _greatest(scores, each), matrix


def sparse_gpt(matrix: torch.Tensor, seen: torch.Tensor, keep: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Column by column, what is left makes up for what is removed (Frantar & Alistarh 2023, algorithm 1).

    With H = XXᵀ + λI and U the upper Cholesky factor of its inverse, a weight w_j costs w_j² / U_jj², of which the
    cheapest of every `COLUMNS` columns go, and its row moves by −(w_j / U_jj)·U_j,: in the columns behind it.
    """
    weights, hessian = matrix.clone(), seen.clone()
    silent = hessian.diagonal() == 0
    hessian.diagonal()[silent] = 1.0
    weights[:, silent] = 0.0
    hessian.diagonal().add_(DAMPING * hessian.diagonal().mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    upper = torch.linalg.cholesky(inverse, upper=True)
    bits = torch.zeros_like(weights, dtype=torch.bool)
    widths = [min(COLUMNS, weights.shape[1] - first) for first in range(0, weights.shape[1], COLUMNS)]
    rows, first = len(weights), 0
    for width, count in zip(widths, shares([rows * width for width in widths], keep), strict=True):
        last = first + width
        costs = (weights[:, first:last] / upper.diagonal()[first:last]) ** 2
        bits[:, first:last] = _greatest(costs.reshape(1, -1), torch.tensor([count])).view(rows, width)
        for column in range(first, last):
            error = torch.where(bits[:, column], 0.0, weights[:, column]) / upper[column, column]
            weights[:, column:] -= error[:, None] * upper[column, column:]
        first = last
    return bits, weights


def _greatest(scores: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Of every row the so many greatest scores, the first of equals."""
    order = torch.argsort(scores, dim=1, descending=True, stable=True)
    ranks = torch.empty_like(order).scatter_(
        1, order, torch.arange(scores.shape[1], device=order.device).expand_as(order)
    )
    return ranks < counts.to(ranks.device)[:, None]


def by(choice: Choice) -> Callable[[Given], AtOnce]:
    """What makes the mask of a method with this choice."""
    return lambda given: AtOnce(given.weights, given.sparsity, choice)
