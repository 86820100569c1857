"""Removing weights physically: rows and columns of linear layers, units of feed-forward networks, whole blocks.

Everything works in place, on any device, and keeps dtype and `requires_grad`. Parameters become new objects: make an
optimizer after compacting, not before.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.models.no_block import NoBlock

Index = Sequence[int] | torch.Tensor


def open_gates(parts: Sequence[Any], removed: Iterable[Any], device: torch.device) -> dict[Any, torch.Tensor]:
    """By group, what masks some parts of a model: 1 for each part that stays and 0 for one that is removed.

    Args:
        parts: all of a model, in order, each with its `group`.
    """
    removed, found = set(removed), dict[Any, list[float]]()
    for part in parts:
        found.setdefault(part.group, []).append(float(part not in removed))
    return {group: torch.tensor(gate, device=device) for group, gate in found.items()}


def by_utterance(gate: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """Gates of the last dimension of `hidden` (B, …, D), (D,) or a row for every utterance (B, D), as its factor."""
    gate = gate.to(hidden.dtype)
    return gate if gate.ndim == 1 else gate.view(len(gate), *(1,) * (hidden.ndim - 2), -1)


def keep_outputs(linear: torch.nn.Linear, index: Index, or_none: bool = False) -> None:
    """Keep only these outputs (rows of `weight`, entries of `bias`) of a linear layer.

    Args:
        index: numbers of the outputs to keep, from 0, ascending, each once.
        or_none: whether there may be none: the layer then has no output (or no input, and gives its bias).

    Raises SecateurError for another index.
    """
    index = _checked(index, linear.out_features, "output", or_none)
    keep_slices(linear, "weight", index, 0, or_none)
    if linear.bias is not None:
        keep_slices(linear, "bias", index, 0, or_none)
    linear.out_features = len(index)


def keep_inputs(linear: torch.nn.Linear, index: Index, or_none: bool = False) -> None:
    """Keep only these inputs (columns of `weight`) of a linear layer; as `keep_outputs`."""
    index = _checked(index, linear.in_features, "input", or_none)
    keep_slices(linear, "weight", index, 1, or_none)
    linear.in_features = len(index)


def keep_units(up: torch.nn.Linear, down: torch.nn.Linear, index: Index, or_none: bool = False) -> None:
    """Keep only these units between two linear layers, as in a feed-forward network: `down(activation(up(x)))`.

    The result equals that of the network whose other units are set to zero after the activation.

    Raises SecateurError when the layers do not fit one another, and for an index as in `keep_outputs`.
    """
    if up.out_features != down.in_features:
        raise SecateurError(
            f"the first layer has {up.out_features} outputs and the second {down.in_features} inputs; name two layers "
            "that follow one another"
        )
    keep_outputs(up, index, or_none)
    keep_inputs(down, index, or_none)


def keep_slices(module: torch.nn.Module, name: str, index: Index, dim: int, or_none: bool = False) -> None:
    """Keep only these slices along `dim` of the parameter `name` of `module`; index as in `keep_outputs`."""
    whole = getattr(module, name)
    index = _checked(index, whole.shape[dim], f"slice of {name}", or_none).to(whole.device)
    # A copy, so that the memory of the whole is set free.
    kept = torch.nn.Parameter(whole.detach().index_select(dim, index), requires_grad=whole.requires_grad)
    setattr(module, name, kept)


def remove_block(layer: torch.nn.Module, block: str, norm: str | None = None) -> None:
    """Remove a residual block, such as attention or a feed-forward network, from `layer`.

    The residual path alone is left: exactly what the block's output times 0 gives. Nothing of the block is computed.

    Args:
        block: name of the block's module in `layer`.
        norm: name of the normalisation of its input, which goes too.

    Raises SecateurError when `layer` has no such modules, or normalises after its blocks: that norm must stay.
    """
    for name in filter(None, (block, norm)):
        if not isinstance(getattr(layer, name, None), torch.nn.Module):
            raise SecateurError(f"{type(layer).__name__} has no module {name!r}; name one of its own")
    if norm is not None and not getattr(layer, "normalize_before", True):
        raise SecateurError(f"{type(layer).__name__} normalises after its blocks; remove {block!r} without {norm!r}")
    setattr(layer, block, NoBlock())
    if norm is not None:
        setattr(layer, norm, torch.nn.Identity())


def _checked(index: Index, size: int, what: str, or_none: bool) -> torch.Tensor:
    index = torch.as_tensor(index)
    if or_none and index.shape == (0,):
        return index.long()
    if (
        index.ndim != 1
        or not len(index)
        or index.is_floating_point()
        or index.is_complex()
        or index.dtype == torch.bool
    ):
        raise SecateurError(
            f"the {what}s to keep must be a list of at least one whole number; to keep none, use remove_block"
        )
    index = index.long()
    if (index[1:] <= index[:-1]).any() or index[0] < 0 or index[-1] >= size:
        raise SecateurError(f"the {what}s to keep must ascend, each once, within 0 … {size - 1}; got {index.tolist()}")
    return index
