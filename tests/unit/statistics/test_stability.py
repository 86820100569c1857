"""How stable an order is, against numbers counted by hand and against enumeration."""

import itertools

import numpy as np
import pytest

from secateur.statistics.stability import rank_correlation, ranks, resampled_means, stability


def test_rank_correlation_by_hand():
    """Orders 1 2 3 4 and 2 1 4 3: Σd² = 4, so 1 − 24/60; the reverse has −1."""
    assert rank_correlation(np.arange(4), np.array([1, 0, 3, 2])) == pytest.approx(0.6)
    assert rank_correlation(np.arange(4), np.arange(4)[::-1]) == pytest.approx(-1.0)
    assert list(ranks(np.array([0.3, 0.1, 0.3, 0.2]))) == [2, 0, 3, 1]  # of equals the first comes first


def test_means_are_of_as_many_utterances_drawn_with_replacement():
    values = np.array([[0.0, 1.0], [3.0, 1.0], [6.0, 1.0]])
    found = resampled_means(values, count=20_000, seed=1)
    assert np.allclose(found[:, 1], 1.0) and set(found[:, 0].round(6)) == {0, 1, 2, 3, 4, 5, 6}
    assert found[:, 0].mean() == pytest.approx(3.0, abs=0.05)
    assert found[:, 0].std() == pytest.approx(np.sqrt(6 / 3), abs=0.05)  # variance 6 of one utterance, over 3


def test_it_is_what_all_resamples_say():
    """Three utterances have 27 equally likely resamples: each is counted."""
    values = np.array([[1.0, 2.0, 3.0], [2.0, 1.5, 3.0], [0.0, 3.0, 0.5]])
    mine, same, common, correlations = ranks(values.mean(0)), 0, 0, []
    for drawn in itertools.product(range(3), repeat=3):
        other = ranks(values[list(drawn)].mean(0))
        both = ((mine < 2) & (other < 2)).sum()
        same, common = same + (both == 2), common + both / 2
        correlations.append(rank_correlation(mine, other))
    found = stability(values, [2])
    assert found["first"][0]["same"] == pytest.approx(same / 27, abs=0.05)
    assert found["first"][0]["overlap"] == pytest.approx(common / 27, abs=0.05)
    assert found["rank_correlation"] == pytest.approx(np.mean(correlations), abs=0.05)


def test_where_utterances_agree_the_order_is_certain():
    found = stability(np.tile([3.0, 1.0, 2.0], (5, 1)), [0, 1, 3])
    assert found["rank_correlation"] == found["rank_correlation_low"] == 1.0
    assert [(one["same"], one["overlap"]) for one in found["first"]] == [(1.0, 1.0)] * 3
