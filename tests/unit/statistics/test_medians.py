"""Intervals of medians against binomial tables, and their coverage by simulation."""

import numpy as np
import pytest

from secateur.statistics.medians import median_interval


@pytest.mark.parametrize("count, place", [(6, 1), (8, 1), (9, 2), (10, 2), (20, 6), (25, 8), (50, 18)])
def test_ends_are_those_of_the_binomial_table(count, place):
    """The published tables' k-th smallest and largest of n values."""
    values = np.random.default_rng(0).permutation(count) + 1.0
    assert median_interval(values) == ((count + 1) / 2, place, count + 1 - place)


def test_fewer_than_six_values_say_nothing():
    assert median_interval([3.0, 1.0, 2.0]) == (2.0, -np.inf, np.inf)
    assert median_interval([1.0] * 5)[1:] == (-np.inf, np.inf)


@pytest.mark.parametrize("count", [6, 10, 21, 60])
def test_intervals_cover_the_median_of_what_is_skewed(count):
    generator = np.random.default_rng(count)
    inside = 0
    for sample in np.exp(generator.normal(size=(2000, count))):
        _, low, high = median_interval(sample)
        inside += low <= 1.0 <= high
    assert 93 <= 100 * inside / 2000 <= 99
