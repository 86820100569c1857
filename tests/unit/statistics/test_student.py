"""Student's t against closed forms and printed tables."""

from math import comb

import numpy as np
import pytest

from secateur.statistics.student import beta_cdf, beta_quantile, t_cdf, t_quantile

# P(T ≤ t) for one, two and four degrees of freedom.
CLOSED_FORMS = {
    1: lambda t: 0.5 + np.arctan(t) / np.pi,
    2: lambda t: 0.5 + t / (2 * np.sqrt(2 + t**2)),
    4: lambda t: 0.5 + 3 / 8 * t / np.sqrt(1 + t**2 / 4) * (1 - t**2 / (1 + t**2 / 4) / 12),
}
# t at 0.975 and 0.995, as printed in tables.
TABLE = {3: (3.182446, 5.840909), 5: (2.570582, 4.032143), 10: (2.228139, 3.169273), 30: (2.042272, 2.749996)}


@pytest.mark.parametrize("df", CLOSED_FORMS)
def test_the_distribution_agrees_with_its_closed_form(df):
    values = np.concatenate([-np.geomspace(1e-3, 300, 50), [0.0], np.geomspace(1e-3, 300, 50)])
    assert t_cdf(values, df) == pytest.approx(CLOSED_FORMS[df](values), abs=1e-12)


@pytest.mark.parametrize("df", TABLE)
def test_quantiles_agree_with_printed_ones(df):
    assert t_quantile([0.975, 0.995], df) == pytest.approx(TABLE[df], abs=1e-6)


def test_quantiles_and_probabilities_are_each_other_s_inverse_far_into_the_tails():
    probabilities = np.array([1e-9, 1e-4, 0.025, 0.3, 0.5, 0.8, 0.999, 1 - 1e-7])[:, None]
    df = np.array([1.0, 1.7, 2.0, 3.3, 12.0, 150.0, 1e4, np.inf])
    assert t_cdf(t_quantile(probabilities, df), df) == pytest.approx(np.broadcast_to(probabilities, (8, 8)), rel=1e-8)


def test_many_degrees_of_freedom_are_the_normal_distribution():
    assert t_quantile(0.975, np.inf) == pytest.approx(1.959964, abs=3e-5)
    assert t_cdf(-1.644854, np.inf) == pytest.approx(0.05, abs=1e-5)


def test_infinite_values_and_single_numbers():
    assert (t_cdf(-np.inf, 3), t_cdf(np.inf, 3)) == (pytest.approx(0, abs=1e-12), 1)
    assert isinstance(t_cdf(1.0, 3), float) and isinstance(t_quantile(0.9, 3), float)


@pytest.mark.parametrize("count, right, share", [(10, 3, 0.2), (50, 49, 0.95), (7, 0, 0.3), (300, 290, 0.97)])
def test_the_beta_distribution_is_that_of_binomial_tails(count, right, share):
    """P(X ≤ k) of n items is P(B > p) with parameters k + 1 and n − k."""
    tail = sum(comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(right + 1))
    assert 1 - beta_cdf(share, right + 1, count - right) == pytest.approx(tail, abs=1e-12)
    assert beta_quantile(1 - tail, right + 1, count - right) == pytest.approx(share, abs=1e-9)


def test_the_beta_distribution_by_closed_forms():
    assert beta_cdf([0.0, 0.3, 1.0], 1.0, 1.0) == pytest.approx([0.0, 0.3, 1.0])
    assert beta_cdf(0.3, 2.5, 1.0) == pytest.approx(0.3**2.5)
    assert beta_quantile(0.025, 20.0, 1.0) == pytest.approx(0.025 ** (1 / 20))
