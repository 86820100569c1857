"""How much a model needs each of its attention heads (Michel, Levy & Neubig 2019, "Are sixteen heads really better than
one?", section 4.1), and the controls that such a measure must beat.

With a gate ξ_h on the output of every head, all at 1, the importance of head h is the mean over utterances of
|∂L/∂ξ_h|, L being the loss of one utterance: the first-order estimate of what the loss changes by without the head.
The absolute value is taken of each utterance's own derivative, so that the importance does not depend on how utterances
are put into batches: every utterance of a batch has gates of its own, and one backward pass gives all derivatives.

Of these importances there are four versions, by how they are made comparable between layers:

    gradient             as they are
    gradient-layer-l2    divided by their L2 norm over the heads of the same attention block (Michel et al. 2019)
    gradient-layer-max   divided by the largest of the same attention block
    gradient-min-max     from 0, the smallest of all, to 1, the largest: the same order as `gradient`

and further
    gradient-again       after every removal, the heads that are left are estimated again; the value is the place in
                         that order of removal, from 1
    magnitude            a control: the mean of |w| over the head's own weights (queries, keys, values, output)
    random               a control: uniform in 0 … 1
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv, write_tsv
from secateur.heads.options import AGAIN
from secateur.models.surgery.heads import Head, attentions, gated, heads
from secateur.speech.data import Batch
from secateur.statistics.stability import stability

COLUMNS = ("block", "layer", "head", "importance", "value")
STABLE = ("gradient", "gradient-layer-l2", "gradient-layer-max")
"""The importances whose orders are estimated again on resampled utterances; that of min–max is the plain one."""

Values = dict[Head, float]
Key = TypeVar("Key")
"""What gates of one place in a model are known by."""


def gradients(model: torch.nn.Module, batches: Iterable[Batch], removed: Iterable[Head] = ()) -> Values:
    """The importance of every head: the mean over utterances of what `derivatives` gives."""
    found = derivatives(model, batches, removed)
    return {head: float(value) for head, value in zip(found, np.mean(list(found.values()), axis=1), strict=True)}


def derivatives(
    model: torch.nn.Module, batches: Iterable[Batch], removed: Iterable[Head] = ()
) -> dict[Head, np.ndarray]:
    """|∂L/∂ξ| of every head of `model`, a model in evaluation mode, on the device that it is on; one for an utterance.

    Args:
        batches: some utterances and their texts; the loss is the one that the model trains with.
        removed: heads that are masked meanwhile; their own value means nothing.

    Raises SecateurError when the loss of a batch is not finite, and when there is no utterance.
    """
    removed = set(removed)
    found = {
        key: [Head(*key, number) for number in attention.heads]
        for key, attention in attentions(model).items()
        if attention.heads
    }
    gates = {key: [float(head not in removed) for head in present] for key, present in found.items()}
    slopes = gate_slopes(model, batches, gates, gated)
    return {head: column for key, present in found.items() for head, column in zip(present, slopes[key].T, strict=True)}


def gate_slopes(
    model: torch.nn.Module,
    batches: Iterable[Batch],
    gates: Mapping[Key, Sequence[float]],
    gated: Callable[[torch.nn.Module, Mapping[Key, torch.Tensor]], AbstractContextManager[None]],
) -> dict[Key, np.ndarray]:
    """|∂L/∂ξ| of every gate of a model for every utterance, (N, n) for n gates of one key.

    Args:
        batches: as for `derivatives`.
        gates: the gates' values, by what `gated` knows them by.
        gated: puts gates, one row (B, n) for every utterance of a batch, into the model within a block.

    Raises SecateurError when the loss of a batch is not finite, and when there is no utterance.
    """
    device = next(model.parameters()).device
    rows: dict[Key, list[torch.Tensor]] = {key: [] for key in gates}
    for batch in batches:
        size = len(batch.utterances)
        ones = {
            key: torch.tensor([list(values)] * size, device=device).requires_grad_() for key, values in gates.items()
        }
        with gated(model, ones):
            loss, _, weight = model(**{name: tensor.to(device) for name, tensor in batch.tensors.items()})
        if not math.isfinite(loss.item()):
            raise SecateurError(
                f"the loss is {loss.item()} on utterances {', '.join(batch.utterances[:20])}; look at these"
            )
        # The loss is a mean over utterances, each of which depends on its own gates only.
        slopes = torch.autograd.grad(loss * weight, list(ones.values()), allow_unused=True)
        for key, slope in zip(ones, slopes, strict=True):
            # None: the loss does not depend on this block.
            found = torch.zeros_like(ones[key]) if slope is None else slope
            rows[key].append(found.detach().abs().double().cpu())
    if not any(rows.values()):
        raise SecateurError("no utterance to estimate importance on; give at least one")
    return {key: torch.cat(values).numpy() for key, values in rows.items()}


def stable(found: Mapping[Head, np.ndarray], shares: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """How the orders by gradients change with the utterances, by importance (`secateur.statistics.stability`).

    Args:
        found: what `derivatives` gives.
        shares: of all heads, that are removed first.
    """
    present = list(found)
    firsts = [math.floor(share * len(present) + 0.5) for share in shares]

    def by(importance: str) -> Callable[[np.ndarray], np.ndarray]:
        def order_by(means: np.ndarray) -> np.ndarray:
            rows = (normalised(dict(zip(present, row.tolist(), strict=True)))[importance] for row in means)
            return np.array([[row[head] for head in present] for row in rows])

        return order_by

    values = np.stack(list(found.values()), axis=1)
    return {importance: stability(values, firsts, by(importance), seed) for importance in STABLE}


def normalised(values: Mapping[Head, float]) -> dict[str, Values]:
    """The four versions of `values` by name. Blocks, or models, whose values are all equal get zeros by min–max, those
    whose values are all zero keep them.
    """
    blocks: dict[tuple[str, int], list[float]] = {}
    for head, value in values.items():
        blocks.setdefault(head.attention, []).append(value)
    norms = {key: math.hypot(*block) for key, block in blocks.items()}
    largest = {key: max(block) for key, block in blocks.items()}
    low, high = min(values.values()), max(values.values())
    return {
        "gradient": dict(values),
        "gradient-layer-l2": {head: value / (norms[head.attention] or 1.0) for head, value in values.items()},
        "gradient-layer-max": {head: value / (largest[head.attention] or 1.0) for head, value in values.items()},
        "gradient-min-max": {head: (value - low) / ((high - low) or 1.0) for head, value in values.items()},
    }


def estimated_again(estimate: Callable[[Sequence[Head]], Values], present: Sequence[Head], step: int) -> Values:
    """Estimate, remove the `step` least important heads, and again, until none is left.

    Args:
        estimate: gives the importance of the heads that are left, given those that are removed.
        present: all heads.

    Returns the place of each head in the order of removal, from 1.
    """
    if step < 1:
        raise SecateurError(f"{step} heads cannot be removed between two estimates; remove at least 1")
    order: list[Head] = []
    while left := [head for head in present if head not in order]:
        values = estimate(order)
        order += sorted(left, key=lambda head: (values[head], head.place))[:step]
    return {head: float(order.index(head) + 1) for head in present}


def magnitudes(model: torch.nn.Module) -> Values:
    """The mean of |w| over each head's rows of the projections to queries, keys, values and columns of the output's."""
    values = {}
    for key, attention in attentions(model).items():
        module = attention.module
        for position, number in enumerate(attention.heads):
            rows = slice(position * module.d_k, (position + 1) * module.d_k)
            weights = [linear.weight[rows] for linear in (module.linear_q, module.linear_k, module.linear_v)]
            weights.append(module.linear_out.weight[:, rows])
            total = sum(weight.detach().double().abs().sum().item() for weight in weights)
            values[Head(*key, number)] = total / sum(weight.numel() for weight in weights)
    return values


def importances(
    model: torch.nn.Module,
    batches: Sequence[Batch],
    seed: int,
    step: int | None = None,
    slopes: Mapping[Head, np.ndarray] | None = None,
) -> dict[str, Values]:
    """Every importance of every head of `model`, by name.

    Args:
        batches: as for `derivatives`.
        seed: of `random`.
        slopes: what `derivatives` gives, if that is known.
        step: heads to remove between two estimates of `gradient-again`; None leaves that out.
    """
    present, generator = heads(model), random.Random(seed)
    slopes = derivatives(model, batches) if slopes is None else slopes
    found = normalised({head: float(values.mean()) for head, values in slopes.items()})
    if step is not None:
        found[AGAIN] = estimated_again(lambda removed: gradients(model, batches, removed), present, step)
    return found | {"magnitude": magnitudes(model), "random": {head: generator.random() for head in present}}


def write_importances(path: str | Path, found: Mapping[str, Mapping[Head, float]]) -> None:
    """Write what `importances` gives as a table."""
    rows = [
        head._asdict() | {"importance": importance, "value": value}
        for importance, values in found.items()
        for head, value in values.items()
    ]
    write_tsv(path, COLUMNS, rows)


def read_importance(path: str | Path, importance: str) -> Values:
    """One importance of every head from a table. Raises SecateurError when it is not in there."""
    rows = read_tsv(path)
    found = {
        Head(row["block"], int(row["layer"]), int(row["head"])): float(row["value"])
        for row in rows
        if row["importance"] == importance
    }
    if not found:
        names = ", ".join(dict.fromkeys(row["importance"] for row in rows))
        raise SecateurError(f"{path}: has no importance {importance!r}; choose from {names}")
    return found
