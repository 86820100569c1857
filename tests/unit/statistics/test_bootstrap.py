"""The bootstrap against complete enumeration, known distributions, and the coverage of its intervals."""

import itertools

import numpy as np
import pytest

from secateur.statistics import bootstrap
from secateur.statistics.bootstrap import Resampled, multiplicities, resample
from secateur.statistics.student import t_cdf


def test_a_two_way_bootstrap_agrees_with_every_possible_draw():
    """Rows and columns are drawn by themselves; of 3 × 3 there are 27 · 27 draws."""
    table = np.array([[1.0, 2.0, 7.0], [3.0, 1.0, 4.0], [0.0, 5.0, 9.0]])

    def means(rows, columns):
        return table[rows[:, :, None], columns[:, None, :]].mean(axis=(1, 2))

    draws = np.array(list(itertools.product(range(3), repeat=3)))
    exact = np.array([table[np.ix_(rows, columns)].mean() for rows in draws for columns in draws])
    found = resample(table.mean(), means, [3, 3])
    assert len(found.draws) == bootstrap.DRAWS
    for percent in (1, 10, 25, 50, 75, 90, 99):
        assert np.percentile(found.draws, percent) == pytest.approx(np.percentile(exact, percent), abs=0.12)
    assert found.draws.std() == pytest.approx(exact.std(), rel=0.03)
    assert 0 < found.p_below(exact.max() + 1) < 0.02
    assert 0 < found.p_above(exact.min() - 1) < 0.02


def test_multiplicities_count_units():
    assert multiplicities(np.array([[0, 0, 2], [1, 2, 1]])).tolist() == [[2, 0, 1], [0, 2, 1]]


def test_draws_depend_on_the_seed_and_not_on_how_many_are_made_at_once(monkeypatch):
    values = np.arange(5.0)

    def drawn(seed):
        return resample(2.0, lambda draws: values[draws].mean(axis=1), [5], seed).draws

    whole = drawn(0)
    assert (whole != drawn(1)).any()
    monkeypatch.setattr(bootstrap, "_CELLS_AT_ONCE", 5 * 37)
    assert (drawn(0) == whole).all()


def test_percentiles_are_widened_for_few_units():
    """Normal draws of unit variance stand for n units: the interval is t_(n−1) · √(n / (n − 1)) wide either way."""
    draws = np.random.default_rng(0).normal(size=400_000)
    for units, t in ((5, 2.776), (11, 2.228)):
        found, wilson_hilferty = Resampled(0.0, draws, [units]), (1 - 2 / (9 * (units - 1))) ** 1.5
        assert found.high == pytest.approx(t * (units / (units - 1)) ** 0.5, abs=0.05)
        assert found.low == pytest.approx(-found.high, abs=0.05)
        assert found.detectable == pytest.approx(
            found.high * (1 + {5: 0.941, 11: 0.879}[units] / t) / wilson_hilferty, rel=0.02
        )
        # The interval ends where the p-value is 2.5 %.
        assert found.p_below(found.high) == pytest.approx(0.025, abs=1e-3)
        assert found.p_above(found.low) == pytest.approx(0.025, abs=1e-3)
    plain = Resampled(0.0, draws)
    assert (plain.low, plain.high) == pytest.approx((-1.96, 1.96), abs=0.02)


def test_beyond_all_draws_the_p_value_is_that_of_a_t_statistic():
    """A few thousand draws say no less than some 0.001, which no claim among 50 could pass by Holm's correction."""
    draws = np.random.default_rng(0).normal(size=100_000)
    found = Resampled(0.0, draws, [5, 8])
    assert float(np.abs(draws).max()) < 6
    distance = 8 / (13 / 11) ** 0.5  # in standard errors of 13 units with 11 degrees of freedom
    expected = float(t_cdf(-distance, 11))
    assert expected < 2e-5
    assert found.p_below(8.0) == pytest.approx(expected, rel=0.5)
    assert found.p_above(-8.0) == pytest.approx(expected, rel=0.5)
    assert found.p_below(9.0) < found.p_below(8.0) < found.p_below(draws.max() + 0.01)
    skewed = Resampled(1.0, np.random.default_rng(0).exponential(size=1_000), [5, 8])
    assert skewed.p_below(14.0) > 10 * found.p_below(13.0)  # a long tail counts on its side
    assert Resampled(2.0, np.full(100, 2.0), [5]).p_below(3.0) > 0  # no spread at all: the draws alone speak


def test_draws_without_a_value_are_left_out():
    found = Resampled(1.0, np.array([np.nan, *np.linspace(0, 2, 101)]))
    assert (found.low, found.high) == pytest.approx((0.05, 1.95), abs=1e-4)
    assert found.p_below(1.99) == pytest.approx(2 / 102, rel=1e-3)


def test_intervals_of_ten_units_cover_95_percent(monkeypatch):
    monkeypatch.setattr(bootstrap, "DRAWS", 1000)
    generator, covered = np.random.default_rng(0), 0
    for trial in range(1000):
        errors = generator.binomial(10, 0.3, 10)
        found = resample(30.0, lambda draws, errors=errors: 10 * errors[draws].mean(axis=1), [10], seed=trial)
        covered += found.low <= 30 <= found.high
    assert 930 <= covered <= 980
