"""How far an order can be trusted that was estimated on some utterances: the same estimate on resampled ones."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

RESAMPLES = 1000
Means = np.ndarray


def ranks(values: np.ndarray) -> np.ndarray:
    """The place of each value in rising order, from 0, along the last axis; of equal ones the first comes first."""
    return np.argsort(np.argsort(values, axis=-1, kind="stable"), axis=-1, kind="stable")


def rank_correlation(first: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of two orders without ties, as `ranks` gives them: 1 − 6·Σd² / (n³ − n)."""
    count = first.shape[-1]
    squares = ((first - other).astype(np.float64) ** 2).sum(-1)
    return 1 - 6 * squares / (count**3 - count) if count > 1 else np.ones(np.shape(squares))


def resampled_means(values: np.ndarray, count: int = RESAMPLES, seed: int = 0) -> Means:
    """Means (count, N) of values (U, N) over utterances drawn with replacement, as many as there are."""
    utterances = len(values)
    drawn = np.random.default_rng(seed).multinomial(utterances, np.full(utterances, 1 / utterances), size=count)
    return drawn @ values / utterances


def stability(
    values: np.ndarray, firsts: Sequence[int], order_by: Callable[[Means], Means] = lambda means: means, seed: int = 0
) -> dict[str, Any]:
    """How the order by the mean of `values` (U, N) changes when utterances are drawn again.

    Args:
        firsts: numbers k of things that go first.
        order_by: what means (R, N) are turned into before things are ordered.

    Returns `rank_correlation` of the order with that of resampled utterances, mean, and `_low` and `_high`, the ends of
    the middle 95 %; and in `first`, for every k, `same`, the share of resamples with just the same first k, and
    `overlap`, the mean share of the first k that are among them.
    """
    mine = ranks(order_by(values.mean(0)[None]))
    others = ranks(order_by(resampled_means(values, seed=seed)))
    found = rank_correlation(mine, others)
    low, high = np.quantile(found, [0.025, 0.975])
    result = {"rank_correlation": found.mean(), "rank_correlation_low": low, "rank_correlation_high": high}
    first = []
    for k in firsts:
        common = ((mine < k) & (others < k)).sum(-1)
        first.append(
            {"k": int(k), "same": float((common == k).mean()), "overlap": float(common.mean() / k) if k else 1.0}
        )
    return {key: float(value) for key, value in result.items()} | {"first": first}
