"""Intervals of shares: closed forms, and their exact coverage of binomial counts."""

from math import comb

import numpy as np
import pytest

from secateur.statistics.shares import Share


def share_of(right: int, items: int) -> Share:
    rate = right / items
    return Share(100 * rate, 100 * (rate * (1 - rate) / items) ** 0.5, items)


def test_all_or_none_right():
    assert (share_of(20, 20).low, share_of(20, 20).high) == pytest.approx((100 * 0.025 ** (1 / 20), 100.0))
    assert (share_of(0, 20).low, share_of(0, 20).high) == pytest.approx((0.0, 100 - 100 * 0.025 ** (1 / 20)))


def test_five_of_ten_as_in_tables():
    assert (share_of(5, 10).low, share_of(5, 10).high) == pytest.approx((18.7, 81.3), abs=0.05)


def test_items_that_depend_on_each_other_count_less():
    """Twice the standard error is that of a quarter of the items."""
    alone, together = share_of(20, 40), Share(50.0, 100 * (0.25 / 160) ** 0.5 * 2, 160)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    unsure = Share(50.0, together.se, 160, df=2.0)
    assert unsure.high - unsure.low > 1.7 * (together.high - together.low)


@pytest.mark.parametrize("items", [10, 30, 100, 300])
def test_intervals_cover_95_percent_of_all_counts_that_can_be(items):
    """Exactly: every count with its probability; never less, and at most 99 % on average."""
    counts, shares = np.arange(items + 1), (0.02, 0.1, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99)
    rates = counts / items
    found = Share(100 * rates, 100 * np.sqrt(rates * (1 - rates) / items), items)
    low, high = found.low, found.high
    covered = []
    for share in shares:
        chances = np.array([comb(items, k) * share**k * (1 - share) ** (items - k) for k in counts.tolist()])
        covered.append(100 * chances[(low <= 100 * share) & (100 * share <= high)].sum())
    assert min(covered) >= 95 - 1e-6 and np.mean(covered) <= 99, covered
