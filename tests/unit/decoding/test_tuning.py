"""Tuning by a grid: the best pair is found, inside the grid or where widening ends, and nothing is tried twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur.core.errors import SecateurError
from secateur.decoding.tuning import applied, tune


def bowl(weight, bonus, tried=None):
    """Errors with a minimum at (1.0, -0.5); the pairs that were tried are noted."""
    if tried is not None:
        tried.append((weight, bonus))
    return (round((weight - 1.0) ** 2 + (bonus + 0.5) ** 2, 6),)


def test_the_grid_goes_where_the_errors_fall():
    tried = []
    found = tune(lambda *pair: bowl(*pair, tried), [0.2, 0.4, 0.6], [0.0, 0.5], 10)
    # The best of the first grid is (0.6, 0.0), at both edges: 0.8 and -0.5 join, then 1.0 and -1.0, and then 1.2.
    assert found.best == (1.0, -0.5) and found.inside and found.widened == 5
    assert found.weights == [0.2, 0.4, 0.6, 0.8, 1.0, 1.2] and found.bonuses == [-1.0, -0.5, 0.0, 0.5]
    assert sorted(tried) == sorted((w, b) for w in found.weights for b in found.bonuses)


def test_where_it_may_not_be_widened_the_edge_is_told():
    found = tune(bowl, [0.2, 0.4], [0.0, 0.5], 1)
    assert not found.inside and found.widened == 1 and found.weights == [0.2, 0.4, 0.6]


def test_no_weight_at_all_is_no_edge_and_equals_are_decided_for_less():
    found = tune(lambda weight, bonus: (weight, 0.0), [0.2, 0.4], [-0.5, 0.0, 0.5], 5)
    assert found.best == (0.0, 0.0) and found.inside and found.weights == [0.0, 0.2, 0.4]


def test_a_single_value_is_not_tuned():
    found = tune(bowl, [0.0], [0.0, 0.5, 1.0], 5)
    assert found.weights == [0.0] and found.best == (0.0, -0.5) and found.inside


@given(st.floats(0, 3), st.floats(-2, 2))
def test_of_any_bowl_the_best_pair_lies_inside(weight, bonus):
    """And no pair of the final grid is better."""
    found = tune(lambda w, b: ((w - weight) ** 2 + (b - bonus) ** 2,), [0.2, 0.6], [0.0, 0.5], 100)
    assert found.inside and all(found.found[found.best] <= errors for errors in found.found.values())
    assert abs(found.best[0] - weight) <= 0.4 and abs(found.best[1] - bonus) <= 0.5


def test_what_cannot_be_tuned_is_refused():
    with pytest.raises(SecateurError, match="no grid"):
        tune(bowl, [], [0.0], 1)
    with pytest.raises(SecateurError, match="no grid"):
        tune(bowl, [-0.1], [0.0], 1)


def test_a_search_takes_what_was_tuned_for_it():
    tuned = {"searches": {"beam-lm": {"lm_weight": 0.7, "length_bonus": -0.5, "grid": []}}}
    search = {"type": "beam", "beam": 3, "lm": "chars", "lm_weight": 0.3, "length_bonus": 0.0}
    assert applied(search, tuned, "beam-lm") == search | {"lm_weight": 0.7, "length_bonus": -0.5}
    with pytest.raises(SecateurError, match="was not tuned; tuned were beam-lm"):
        applied(search, tuned, "beam")
