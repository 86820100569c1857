"""Ranking: which weights of a model are largest, exactly and without sorting.

Magnitudes of float32 order like their bit patterns read as integers, sign cleared. So the threshold is found by
counting: a histogram of the upper 16 bits of all patterns gives the bin of the smallest weight that stays, a second
one, of the lower 15 bits within that bin, its exact pattern; a third pass writes the mask. Each pass reads the weights
in chunks: the time is O(N), and the memory that of the mask and a few megabytes.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import prod
from typing import get_args

import torch

from secateur.core.errors import SecateurError
from secateur.pruning.engines.mask import Mask, Weights, check_shapes, kept, shapes_of, weights
from secateur.pruning.options import Ranking

CHUNK = 1 << 18  # fits the cache; measured
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)
BLOCK = 8
LOW_BITS = 15
LOW = 1 << LOW_BITS
MAGNITUDE = 0x7FFFFFFF  # all bits of a float32 but its sign
INFINITY = 0x7F800000  # the pattern of infinity; those above it are NaN


def magnitude_mask(model: Weights, sparsity: float, ranking: str = "global", within: Mask | None = None) -> Mask:
    """The mask that keeps the `kept(N, sparsity)` weights of the greatest magnitude, N being all prunable weights.

    One-shot pruning calls it once, iterative pruning with the last level's mask as `within`, and adaptive masking every
    few steps; a row of S3's tables differs only in `within`.

    Args:
        model: a model, of which the names of `within` or else the prunable weights by default are ranked, or a mapping
            of tensors, all of which are ranked.
        ranking: `global` ranks all weights together; `layerwise` ranks every matrix by itself, with the exact number of
            `shares`; `lamp` ranks all by `lamp_scores`. `1x8` ranks blocks of eight weights of a row by their norm, and
            of all weights those of as many whole blocks stay; `2of4` keeps two of every four weights of a row.
        within: candidates (default: all). The result is nested in it.

    Raises SecateurError when there are too few candidates (`layerwise`: in a matrix), naming both numbers, for a matrix
    whose rows are no multiple of a block, and for `2of4` at another sparsity than one half.
    """
    tensors = weights(model, within.shapes if within is not None and isinstance(model, torch.nn.Module) else None)
    sizes = [tensor.numel() for tensor in tensors.values()]
    keep = kept(sum(sizes), sparsity)
    if within is not None:
        check_shapes(within.shapes, shapes_of(tensors), "the ranked model")
    match ranking:
        case "global":
            return largest(tensors, keep, within)
        case "lamp":
            return largest(lamp_scores(tensors, within), keep, within)
        case "1x8":
            return block_mask(tensors, sparsity, within)
        case "2of4":
            return two_of_four(tensors, sparsity)
        case "layerwise":
            return _by_matrix(tensors, sizes, keep, within)
    raise SecateurError(f"ranking: {ranking!r}; allowed: {', '.join(RANKINGS)}")


def _by_matrix(tensors: Mapping[str, torch.Tensor], sizes: Sequence[int], keep: int, within: Mask | None) -> Mask:
    bits: dict[str, torch.Tensor] = {}
    for (name, tensor), share in zip(tensors.items(), shares(sizes, keep), strict=True):
        candidates = Mask.of({name: within[name]}) if within is not None else None
        bits |= largest({name: tensor}, share, candidates)
    return Mask.of(bits)


def largest(scores: Mapping[str, torch.Tensor], keep: int, within: Mask | None = None) -> Mask:
    """The mask of exactly the `keep` greatest magnitudes of all tensors together.

    Equal magnitudes rank by place, lower first: tensors in the order of `scores`, then by flattened index. 0.0 and −0.0
    are equal.

    Args:
        scores: tensors of float32, or of a type that it holds exactly, on one device.
        within: candidates (default: all). Other entries are never kept, and may be anything.

    Raises SecateurError for a candidate that is NaN or infinite and for a tensor of another type, naming the tensor,
    and when there are fewer candidates than `keep`.
    """
    for name, tensor in scores.items():
        if tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise SecateurError(f"{name}: scores of type {tensor.dtype}, wanted float32; convert them")
    shapes = shapes_of(scores)
    if within is not None:
        check_shapes(within.shapes, shapes, "the ranked model")
    flat = torch.zeros(sum(map(prod, shapes.values())), dtype=torch.bool, device=next(iter(scores.values())).device)

    # Keys are −1 where there is no candidate: bin 0.
    histogram = sum(
        torch.bincount((keys >> LOW_BITS).add_(1), minlength=2 * LOW + 1) for _, keys in _keys(scores, within)
    )
    if histogram[(INFINITY >> LOW_BITS) + 1 :].any():
        raise SecateurError(f"{_not_finite(scores, within)}: a score is NaN or infinite; train the model again")
    candidates = flat.numel() - int(histogram[0])
    if not 0 <= keep <= candidates:
        raise SecateurError(
            f"ranking of {next(iter(scores))}{' …' if len(scores) > 1 else ''}: {keep} weights to keep of {candidates} "
            "candidates; wanted at most as many: raise the sparsity, or start from a mask that keeps more"
        )
    if keep == 0:
        return Mask(shapes, flat)
    upper, rank = _bin_of(histogram, keep)
    histogram = sum(
        torch.bincount(keys[keys >> LOW_BITS == upper - 1] & (LOW - 1), minlength=LOW)
        for _, keys in _keys(scores, within)
    )
    lower, ties = _bin_of(histogram, rank)
    threshold = (upper - 1 << LOW_BITS) + lower
    if ties == histogram[lower]:  # the usual case: all that equal the threshold stay
        threshold, ties = threshold - 1, 0

    for start, keys in _keys(scores, within):
        part = flat[start : start + len(keys)]
        torch.gt(keys, threshold, out=part)
        if ties:
            equal = (keys == threshold).nonzero()[:ties, 0]
            part[equal] = True
            ties -= len(equal)
    return Mask(shapes, flat)


def lamp_scores(tensors: Mapping[str, torch.Tensor], within: Mask | None = None) -> dict[str, torch.Tensor]:
    """Layer-adaptive magnitudes (Lee et al. 2021, equation 4): w² over the sum of all squares of its matrix as large.

    score(u) = W[u]² / Σ W[v]² over v with |W[v]| ≥ |W[u]|, so that the largest weight of each matrix has the score 1,
    and a mask of the greatest scores removes from every matrix what costs it least. Equal magnitudes count in order
    of their place. Candidates are those of `within`; the score of others is 0.
    """
    scores = {}
    for name, tensor in tensors.items():
        squares = tensor.detach().double().flatten() ** 2
        if within is not None:
            squares = torch.where(within[name].flatten(), squares, 0.0)
        order = torch.argsort(squares, descending=True, stable=True)
        ordered = squares[order]
        ratio = ordered / ordered.cumsum(0).clamp(min=torch.finfo(torch.float64).tiny)
        scores[name] = torch.empty_like(ratio).scatter_(0, order, ratio).view(tensor.shape).float()
    return scores


def block_mask(tensors: Mapping[str, torch.Tensor], sparsity: float, within: Mask | None = None) -> Mask:
    """The mask of the blocks of 1 × 8 weights, within a row of (out, in) or (out, in, 1), that have the greatest norms.

    Of B blocks `kept(B, sparsity)` stay. With `within`, a block is a candidate if all its weights are.
    """
    norms = {name: _pieces(name, tensor, BLOCK).float().norm(dim=-1) for name, tensor in tensors.items()}
    blocks = kept(sum(norm.numel() for norm in norms.values()), sparsity)
    candidates = None
    if within is not None:
        candidates = Mask.of({name: _pieces(name, within[name], BLOCK).all(-1) for name in tensors})
    chosen = largest(norms, blocks, candidates)
    return Mask.of(
        {n: bits[..., None].expand(*bits.shape, BLOCK).reshape(tensors[n].shape) for n, bits in chosen.items()}
    )


def two_of_four(tensors: Mapping[str, torch.Tensor], sparsity: float) -> Mask:
    """The mask of the two largest of every four weights within a row, which sparse tensor cores multiply (2:4).

    The first of equals stays.
    """
    if sparsity != 0.5:
        raise SecateurError(f"ranking 2of4: sparsity {sparsity}; it is one half by construction: give 0.5")
    bits = {}
    for name, tensor in tensors.items():
        fours = _pieces(name, tensor, 4).abs()
        order = torch.argsort(fours, dim=-1, descending=True, stable=True)
        chosen = torch.zeros_like(fours, dtype=torch.bool).scatter_(-1, order[..., :2], True)
        bits[name] = chosen.view(tensor.shape)
    return Mask.of(bits)


def _pieces(name: str, tensor: torch.Tensor, size: int) -> torch.Tensor:
    """(out, in, …) as (pieces, size), each piece `size` neighbours of a row."""
    rows = tensor.detach().reshape(tensor.shape[0], -1)
    if rows.shape[1] % size:
        raise SecateurError(
            f"{name}: rows of {rows.shape[1]} weights; wanted a multiple of {size} to rank blocks: name it in `exclude`"
        )
    return rows.reshape(-1, size)


def smallest(scores: Mapping[str, torch.Tensor], mask: Mask) -> float:
    """The smallest magnitude that a mask keeps."""
    return min(float(scores[name][bits].abs().min()) for name, bits in mask.items() if bits.any())


def shares(sizes: Sequence[int], keep: int) -> list[int]:
    """Divide `keep` over matrices in proportion to their sizes, in whole numbers whose sum is exact.

    Webster's method (Sainte-Laguë; Balinski & Young 1982, Fair Representation): weights are dealt one by one to the
    matrix with the greatest size / (2·dealt + 1), the first of equals. Unlike the method of largest remainders, no
    matrix's share ever grows when `keep` falls, so that layerwise masks of rising sparsity can be nested.
    """
    total = sum(sizes)
    # Rounding is Webster's division for nearly this sum; what is missing or too much is dealt or taken back.
    dealt = [(2 * size * keep + total) // (2 * total) for size in sizes]
    missing = keep - sum(dealt)
    step = 1 if missing > 0 else -1

    def turn(index: int) -> tuple[Fraction, int]:
        """Sorts first what is dealt to next, or was dealt to last."""
        return -step * Fraction(sizes[index], 2 * dealt[index] + step), step * index

    turns = [turn(index) for index in range(len(sizes)) if missing > 0 or dealt[index]]
    heapq.heapify(turns)
    for _ in range(abs(missing)):
        index = abs(turns[0][1])
        dealt[index] += step
        if dealt[index] or step > 0:
            heapq.heapreplace(turns, turn(index))
        else:
            heapq.heappop(turns)
    return dealt


def _keys(scores: Mapping[str, torch.Tensor], within: Mask | None) -> Iterator[tuple[int, torch.Tensor]]:
    """Chunks of (place of the first, bit patterns of the magnitudes as int32, −1 where there is no candidate)."""
    start, waiting, length = 0, [], 0

    def chunk() -> tuple[int, torch.Tensor]:
        keys = torch.cat(waiting).view(torch.int32) & MAGNITUDE
        if within is not None:
            candidate = within.flat[start : start + length].to(keys.device)
            keys |= candidate.view(torch.int8) - 1  # 0 for a candidate, else all bits
        return start, keys

    for tensor in scores.values():
        for piece in tensor.detach().reshape(-1).split(CHUNK):
            if length + len(piece) > CHUNK:
                yield chunk()
                start, waiting, length = start + length, [], 0
            waiting.append(piece.float())
            length += len(piece)
    if length:
        yield chunk()


def _bin_of(histogram: torch.Tensor, rank: int) -> tuple[int, int]:
    """The bin that holds the entry of rank `rank` (from 1) from the top, and its rank within that bin."""
    from_top = histogram.flip(0).cumsum(0)
    place = int(torch.searchsorted(from_top, rank))
    index = len(histogram) - 1 - place
    return index, rank - int(from_top[place] - histogram[index])


def _not_finite(scores: Mapping[str, torch.Tensor], within: Mask | None) -> str:
    """The first tensor with a candidate that is NaN or infinite."""
    for name, tensor in scores.items():
        broken = ~tensor.isfinite()
        if (broken & within[name].to(broken.device) if within is not None else broken).any():
            return name
    raise AssertionError("all scores are finite")
