"""Medians and their intervals, whatever the distribution (order statistics)."""

from collections.abc import Sequence
from math import comb

import numpy as np

from secateur.statistics.student import CONFIDENCE


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The median of a sample, and its 95 % interval (low, high): two of the values, as far from the ends as each other.

    As many values lie below the true median as coins show heads (W. J. Conover, Practical Nonparametric Statistics,
    3rd edition, 1999, section 3.2). Fewer than six values say nothing: their interval has no ends.
    There must be a value.
    """
    ranked = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ranked)
    median = float(np.median(ranked))
    place, tail = -1, 1 / 2**count
    while tail <= (1 - CONFIDENCE) / 2:
        place += 1
        tail += comb(count, place + 1) / 2**count
    if place < 0:
        return median, -np.inf, np.inf
    return median, float(ranked[place]), float(ranked[count - 1 - place])
