"""Equal error rate, term-weighted value and diarization error rate against numbers worked out by hand."""

from itertools import permutations, product

import numpy as np
import pytest

from secateur.core.errors import SecateurError
from secateur.ssl.tasks import metrics
from secateur.statistics import bootstrap
from secateur.statistics.estimates import TestSet, error_rate


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "DRAWS", 200)


def eer(scores, match):
    names = [f"clip{place}" for place in range(len(scores))]
    return metrics.equal_error_rate(scores, match, names, [f"other {name}" for name in names])


def test_an_equal_error_rate_by_hand():
    # Above 0.5: two of three matches (miss 1/3) and one of three mismatches (false alarm 1/3).
    assert eer([0.9, 0.8, 0.4, 0.6, 0.2, 0.1], [1, 1, 1, 0, 0, 0]).value == pytest.approx(100 / 3)
    assert eer([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0]).value == 0.0
    assert eer([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0]).value == 100.0


def test_between_two_thresholds_the_equal_error_rate_is_interpolated():
    # Thresholds give (miss, false alarm) = (1, 0), (1/2, 0), (1/2, 1/3), (0, 1/3), …: the line from (1/2, 1/3) to
    # (0, 1/3) has both rates at 1/3.
    assert eer([0.9, 0.7, 0.8, 0.2, 0.1], [1, 1, 0, 0, 0]).value == pytest.approx(100 / 3)


def test_equal_scores_cannot_be_told_apart():
    assert eer([0.5] * 6, [1, 0, 1, 0, 1, 0]).value == pytest.approx(50.0)


def test_an_equal_error_rate_does_not_depend_on_the_order_or_scale_of_scores():
    generator = np.random.default_rng(3)
    match = generator.random(200) < 0.4
    scores = generator.normal(size=200) + match
    order = generator.permutation(200)
    value = eer(scores, match).value
    assert eer(scores[order], match[order]).value == pytest.approx(value)
    assert eer(5 * scores - 3, match).value == pytest.approx(value)
    # The area where miss and false alarm are closest, over all thresholds, brackets it.
    rates = [((scores[match] < t).mean(), (scores[~match] >= t).mean()) for t in np.sort(scores)]
    assert min(max(pair) for pair in rates) >= value / 100 >= max(min(pair) for pair in rates)


def test_clips_are_resampled_and_not_trials(monkeypatch):
    """The trials of one clip come and go together, which makes the interval wider than one of independent trials."""
    pairs = [(a, b) for a in range(40) for b in range(a)]
    voices = np.arange(40) % 4
    offset = np.random.default_rng(0).normal(size=40)  # a clip is good or bad in all of its trials
    match = [voices[a] == voices[b] for a, b in pairs]
    scores = [match_ + offset[a] + offset[b] for (a, b), match_ in zip(pairs, match, strict=True)]
    names = [[f"{clip}" for clip in side] for side in zip(*pairs, strict=True)]
    dependent = metrics.equal_error_rate(scores, match, *names)
    scores, match = np.array(scores), np.array(match)
    generator = np.random.default_rng(1)
    draws = [generator.integers(0, len(scores), len(scores)) for _ in range(100)]
    monkeypatch.setattr(bootstrap, "DRAWS", 1)
    low, high = np.percentile([eer(scores[draw], match[draw]).value for draw in draws], [2.5, 97.5])
    assert dependent.high - dependent.low > 1.3 * (high - low)
    assert dependent.low < dependent.value < dependent.high


def test_trials_of_one_kind_are_refused():
    with pytest.raises(SecateurError, match="both kinds"):
        eer([0.1, 0.2], [1, 1])


def test_a_maximum_term_weighted_value_by_hand():
    assert pytest.approx(12.49) == metrics.FALSE_ALARM_WEIGHT
    scores = np.array([[0.9, 0.5, 0.3, 0.1], [0.8, 0.7, 0.2, 0.1]])
    match = np.array([[1, 1, 0, 0], [0, 1, 0, 0]], bool)
    # θ = 0.9: hits 1 of 2 and 0 of 1 -> 1 − mean(0.5, 1) = 0.25; θ = 0.8: a false alarm in the second query, 1 of 3,
    # costs 12.49 / 3 / 2. Below, false alarms stay. So the best is 0.25.
    assert metrics.maximum_term_weighted_value(scores, match).value == pytest.approx(25.0)
    perfect = np.where(match, 1.0, 0.0)
    assert metrics.maximum_term_weighted_value(perfect, match).value == pytest.approx(100.0)


def test_the_interval_of_a_term_weighted_value_is_of_thresholds_chosen_on_other_queries():
    scores, match = np.array([[0.9, 0.5], [0.8, 0.3]]), np.array([[1, 0], [1, 0]], bool)
    found = metrics.maximum_term_weighted_value(scores, match)
    assert found.value == pytest.approx(100.0)  # at 0.8
    # The first is found at 0.8, which is best for the second, but the second is missed at 0.9: a mean of 50 where both
    # are drawn, in a half of the draws. Of one that is drawn twice, no other one tells a threshold: nothing is found.
    assert set(found.draws) == {0.0, 50.0} and np.mean(found.draws == 50.0) == pytest.approx(0.5, abs=0.1)


def test_a_search_that_finds_nothing_has_no_value_and_pairs_that_are_not_judged_do_not_count():
    match = np.array([[1, 0, 0]], bool)
    assert metrics.maximum_term_weighted_value(np.array([[0.1, 0.9, 0.8]]), match).value == 0.0
    judged = np.array([[1, 0, 1]], bool)
    scores = np.array([[0.85, 0.9, 0.8]])
    assert metrics.maximum_term_weighted_value(scores, match, judged).value == pytest.approx(100.0)


def test_a_query_that_occurs_everywhere_is_refused():
    with pytest.raises(SecateurError, match="in no document, or in all"):
        metrics.maximum_term_weighted_value(np.array([[0.1, 0.2]]), np.array([[1, 1]], bool))


def test_diarization_errors_by_hand():
    reference = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    assert metrics.diarization_errors(reference, reference) == (0, 5)
    assert metrics.diarization_errors(reference, reference[:, ::-1]) == (0, 5), "the names of speakers do not matter"
    # Frame 2 misses one of two, frame 3 is the wrong speaker, frame 4 a false alarm.
    guess = np.array([[1, 0], [1, 0], [1, 0], [1, 0], [1, 0]])
    assert metrics.diarization_errors(reference, guess) == (3, 5)
    assert metrics.diarization_errors(reference, np.zeros_like(reference)) == (5, 5)


def test_diarization_errors_are_missed_false_and_confused_speech_under_the_best_assignment():
    generator = np.random.default_rng(1)
    reference, guess = generator.random((2, 300, 2)) < 0.5

    def total(guess):
        missed = np.maximum(reference.sum(1) - guess.sum(1), 0).sum()
        false = np.maximum(guess.sum(1) - reference.sum(1), 0).sum()
        confused = (np.minimum(reference.sum(1), guess.sum(1)) - (reference & guess).sum(1)).sum()
        return missed + false + confused

    expected = min(total(guess[:, list(order)]) for order in permutations(range(2)))
    assert metrics.diarization_errors(reference, guess) == (expected, reference.sum())


def test_accuracy_is_a_percentage_with_an_interval():
    value = metrics.accuracy([True] * 30 + [False] * 10)
    # Clopper and Pearson's interval of 30 of 40, from tables.
    assert (value.value, value.low, value.high) == pytest.approx((75.0, 58.8, 87.3), abs=0.5)
    assert set(np.round(value.resampled.draws % 2.5, 6)) <= {0.0, 2.5}


def test_where_all_items_are_right_the_interval_is_that_of_so_many_items():
    """0.025 = p^20, where percentiles of resampled items would have no width."""
    value = metrics.accuracy([True] * 20)
    assert (value.value, value.low, value.high) == pytest.approx((100.0, 100 * 0.025 ** (1 / 20), 100.0))
    assert metrics.accuracy([False] * 20).high == pytest.approx(100 - value.low)


def test_an_accuracy_over_folds_is_their_mean_and_as_sure_as_all_their_items():
    folds = [[True] * 9 + [False], [True] * 15 + [False] * 15]
    value = metrics.mean_accuracy(folds)
    assert value.value == pytest.approx(70.0)
    se = (0.9 * 0.1 / 10 + 0.25 / 30) ** 0.5 / 2
    assert value.number.se == pytest.approx(100 * se)
    assert value.low < 70 - 1.7 * 100 * se and value.high > 70 + 1.6 * 100 * se


def test_a_rate_has_the_interval_of_error_rates_and_items_of_no_length_count_with_their_errors():
    value = metrics.rate([1, 2, 6, 0], [10, 10, 20, 10])
    table = error_rate([1, 2, 6, 0], TestSet([10, 10, 20, 10]))
    assert (value.low, value.high) == pytest.approx((table.low, table.high))
    assert metrics.rate([1, 2, 6, 0], [10, 10, 20, 0]).value == pytest.approx(100 * 9 / 40)
    assert metrics.rate([1, 2, 6, 3], [10, 10, 20, 0]).value == pytest.approx(100 * 12 / 40)
    languages = metrics.mean_rate([([1, 3], [10, 10]), ([6, 0], [20, 10])])
    assert languages.value == pytest.approx(20.0) and languages.low < 20 < languages.high


def test_a_rate_is_resampled_over_items(monkeypatch):
    """Against all 4^4 draws."""
    monkeypatch.setattr(bootstrap, "DRAWS", 10_000)
    parts, wholes = np.array([0, 1, 3, 2]), np.array([5, 7, 4, 9])
    draws = np.array(list(product(range(4), repeat=4)))
    exact = 100 * parts[draws].sum(1) / wholes[draws].sum(1)
    found = metrics.rate(parts, wholes).resampled.draws
    assert (found.mean(), found.std()) == pytest.approx((exact.mean(), exact.std()), rel=0.03)
    assert np.median(found) == pytest.approx(np.median(exact), abs=1)


def test_heads_and_items_are_in_one_interval():
    """Heads spread by 3 points, and a mean over items by 4: the mean of 3 heads by √(9 / 3 + 16)."""
    generator = np.random.default_rng(1)
    spreads, of_items, truth = [], [], (9 / 3 + 16) ** 0.5
    for _ in range(300):
        items = generator.normal(0, 4, 2000)
        shifts = generator.normal(0, 3, 3)
        heads = [metrics.Measured.of(bootstrap.Resampled(50 + one, 50 + one + items, [10**6])) for one in shifts]
        found = metrics.over_heads(heads, 1)
        assert found.value == pytest.approx(np.mean([head.value for head in heads]))
        spreads.append(found.number.draws.var())
        of_items.append(found.resampled.draws.var())
    assert np.mean(spreads) ** 0.5 == pytest.approx(truth, rel=0.05)
    assert np.mean(of_items) ** 0.5 == pytest.approx(4, rel=0.05)  # for differences, which add heads themselves
    assert metrics.over_heads(heads[:1], 1) is heads[0]


def test_heads_that_differ_widen_the_intervals_of_rates_and_shares():
    """Of two heads, as of two seeds: Student's t with one degree of freedom where they decide."""
    rates = [metrics.rate([few, 5, 6, 4] * 50, [100] * 200) for few in (5, 25)]
    joined = metrics.over_heads(rates, 1)
    assert joined.value == pytest.approx(7.5) and joined.low > 0
    assert joined.high - joined.low > 3 * (rates[1].high - rates[1].low)
    shares = [metrics.accuracy([True] * right + [False] * (400 - right)) for right in (300, 380)]
    joined = metrics.over_heads(shares, 1)
    assert joined.value == pytest.approx(85)
    assert joined.high - joined.low > 3 * (shares[0].high - shares[0].low)
    perfect = metrics.over_heads([metrics.accuracy([True] * 20)] * 2, 1)
    assert perfect.value == 100 and 70 < perfect.low < 90
