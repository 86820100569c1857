"""Subsequence dynamic time warping of a query over documents, all documents at once (SUPERB's query by example).

As in s3prl's `quesst14_dtw`: frames are compared by exp(1 − cosine) − 1, scaled to [0, 1] for each query frame over the
document; the path may begin and end anywhere in the document and takes each query frame once, while it advances zero,
one or two frames in the document ("asymmetric"); the cost is its mean over the query's frames.
"""

from collections.abc import Sequence

import torch


def costs(query: torch.Tensor, documents: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The cost of the best path of `query` (n, D) through each of `documents` (B, T, D) with `lengths` (B,): (B,)."""
    return subsequence_costs(distances(query, documents, lengths))


def distances(query: torch.Tensor, documents: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Distances (B, n, T) of every frame of the query from every frame of each document; infinite beyond its end."""
    cosine = torch.einsum("nd,btd->bnt", _unit(query), _unit(documents))
    distance = torch.expm1(1 - cosine)
    beyond = (torch.arange(documents.shape[1], device=documents.device) >= lengths[:, None])[:, None]
    low = distance.masked_fill(beyond, torch.inf).amin(2, keepdim=True)
    high = distance.masked_fill(beyond, -torch.inf).amax(2, keepdim=True)
    return ((distance - low) / (high - low).clamp(min=1e-9)).masked_fill(beyond, torch.inf)


def subsequence_costs(distance: torch.Tensor) -> torch.Tensor:
    """The mean distance along the best path through each matrix (B, n, T): (B,)."""
    total = distance[:, 0]
    for row in distance.unbind(1)[1:]:
        padded = torch.nn.functional.pad(total, (2, 0), value=torch.inf)
        total = row + torch.minimum(torch.minimum(padded[:, 2:], padded[:, 1:-1]), padded[:, :-2])
    return total.amin(1) / distance.shape[1]


def normalize(states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Shift and scale every dimension of frames (T_i, D) to mean 0 and standard deviation 1 over all of them."""
    everything = torch.cat(list(states))
    mean, std = everything.mean(0), everything.std(0).clamp(min=1e-9)
    return [(state - mean) / std for state in states]


def _unit(frames: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(frames, dim=-1)
