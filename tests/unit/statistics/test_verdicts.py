"""Holm's correction by hand and by its definition; claims that are true and false by construction."""

import itertools

import numpy as np
import pytest
from simulated import counts

from secateur.core.errors import SecateurError
from secateur.statistics.bootstrap import Resampled
from secateur.statistics.estimates import Estimate, difference, relative_change
from secateur.statistics.verdicts import (
    NOT_SUPPORTED,
    NOT_TESTED,
    SUPPORTED,
    UNDECIDED,
    Claim,
    Evidence,
    holm,
    verdicts,
)


def test_holm_by_hand():
    # 4 · 0.01, 3 · 0.02, 2 · 0.03, 1 · 0.04, each at least the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_is_the_closed_test_of_bonferroni():
    """A hypothesis is rejected if every set that holds it is, by Bonferroni: the p-value is the largest of these."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        p_values = generator.random(5) ** 3
        sets = [group for size in range(1, 6) for group in itertools.combinations(range(5), size)]
        closed = [
            max(min(1, len(group) * p_values[list(group)].min()) for group in sets if place in group)
            for place in range(5)
        ]
        assert holm(p_values) == pytest.approx(closed)


def number(value, se=1.0):
    return Estimate(value, se, np.inf, 3, 100)


def verdict(claim, found, **others):
    return verdicts({"claim": Evidence(claim, found, **others)})["claim"]


@pytest.mark.parametrize(
    "claim, decided",
    [
        (Claim(below=0), {-3: SUPPORTED, -1: UNDECIDED, 1: UNDECIDED, 3: NOT_SUPPORTED}),
        (Claim(below=2), {-1: SUPPORTED, 0.5: UNDECIDED, 3: UNDECIDED, 5: NOT_SUPPORTED}),
        (Claim(above=2), {5: SUPPORTED, 3: UNDECIDED, 1: UNDECIDED, -1: NOT_SUPPORTED}),
        (
            Claim(-4, 4),
            {0: SUPPORTED, 1.5: SUPPORTED, 3: UNDECIDED, -5: UNDECIDED, 7: NOT_SUPPORTED, -7: NOT_SUPPORTED},
        ),
        (Claim(-1, 1), {0: UNDECIDED, 4: NOT_SUPPORTED}),
    ],
)
def test_a_verdict_goes_with_the_95_percent_interval(claim, decided):
    """The interval is value ± 1.96: within the claim, outside it, or across its bound."""
    for value, expected in decided.items():
        found = verdict(claim, number(value))
        assert found.verdict == expected, (claim, value)
        assert (found.p_value <= 0.05) == (expected != UNDECIDED)


def test_claims_can_rest_on_bootstraps():
    ratio = Resampled(0.5, np.random.default_rng(0).normal(0.5, 0.05, 10_000), [6, 20])
    assert verdict(Claim(below=1), ratio).verdict == SUPPORTED
    assert verdict(Claim(below=0.5), ratio).verdict == UNDECIDED
    assert verdict(Claim(above=0.9), ratio).verdict == NOT_SUPPORTED


def test_what_was_not_measured_or_is_doubtful_is_not_decided_and_takes_nothing_from_the_others():
    clear = Evidence(Claim(below=0), number(-2.2))
    found = verdicts({"a": clear, "b": None, "c": Evidence(Claim(below=0), number(-9), doubt="the clock was unsteady")})
    assert (found["a"].verdict, found["a"].adjusted) == (SUPPORTED, found["a"].p_value)
    assert (found["b"].verdict, found["b"].p_value) == (NOT_TESTED, None)
    assert (found["c"].verdict, found["c"].why) == (UNDECIDED, "the clock was unsteady")
    several = verdicts({"a": clear, "b": Evidence(Claim(below=0), number(0)), "c": Evidence(Claim(below=0), number(1))})
    assert several["a"].verdict == UNDECIDED and "one of 3 claims" in several["a"].why
    assert several["a"].adjusted == pytest.approx(3 * several["a"].p_value)


@pytest.mark.parametrize("bounds", [(0.0, 0.0), (1.0, -1.0), (-np.inf, np.inf)])
def test_a_claim_that_says_nothing_is_refused(bounds):
    with pytest.raises(SecateurError, match="expected at least one finite bound"):
        Claim(*bounds)


def test_claims_about_simulated_systems_get_the_right_verdicts():
    """B makes 50 % more errors than A, C as many as A; the margins are relative or in points."""
    (a, b, c), test = counts(np.random.default_rng(0), 1, 5, 1500, (0.2, 0.3, 0.2), 0.03)
    change, points = relative_change(b[0], a[0], test), difference(c[0], a[0], test)
    found = verdicts(
        {
            "B is worse by more than 10 %": Evidence(Claim(above=10), change),
            "B is no worse, margin 10 %": Evidence(Claim(below=10), change),
            "C is no worse, margin 3 points": Evidence(Claim(below=3), points),
            "C equals A, margin 3 points": Evidence(Claim(-3, 3), points),
            "C is worse by more than 3 points": Evidence(Claim(above=3), points),
            "C is better": Evidence(Claim(below=0), points),
        }
    )
    assert [each.verdict for each in found.values()] == [
        *(SUPPORTED, NOT_SUPPORTED, SUPPORTED, SUPPORTED, NOT_SUPPORTED, UNDECIDED),
    ]


def test_a_study_has_a_false_verdict_in_at_most_5_percent():
    """Claims at the edge of truth, where both verdicts are wrong: differences of exactly 0, or exactly the margin."""
    generator, studies = np.random.default_rng(5), 1000
    (a, b, c, d), test = counts(generator, studies, 3, 100, (0.2, 0.2, 0.2, 0.22), 0.1)
    measured = [difference(b, a, test), difference(c, a, test), difference(d, a, test)]
    wrong = 0
    for study in range(studies):
        numbers = [Estimate(each.value[study], each.se[study], each.df[study], 3, 100) for each in measured]
        claims = {str(place): Evidence(Claim(below=(0, 0, 2)[place]), each) for place, each in enumerate(numbers)}
        wrong += any(found.verdict != UNDECIDED for found in verdicts(claims).values())
    assert wrong / studies <= 0.05
