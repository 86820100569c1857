"""Error rates, differences and relative changes: numbers worked out by hand, and the coverage of their intervals."""

import numpy as np
import pytest
from simulated import counts

from secateur.core.errors import SecateurError
from secateur.statistics.estimates import Estimate, TestSet, difference, error_rate, mean_ratio, relative_change

SIMULATIONS = 1000
SPREADS = (0.0, 0.1, 0.3)


def test_a_rate_over_utterances_by_hand():
    """Rate 6 / 30, of the others 5 / 20, 4 / 20 and 3 / 20: it moves by 5, 0 and −5 %, with the variance 3 / 2 · 50."""
    found = error_rate([1, 2, 3], TestSet([10, 10, 10]))
    assert (found.value, found.seeds, found.utterances) == (pytest.approx(20.0), 1, 3)
    assert found.se == pytest.approx(np.sqrt(75))
    assert found.df == pytest.approx(2)
    # t with 2 degrees of freedom, on the scale of logarithms.
    factor = np.exp(4.302653 * found.se / 20)
    assert (found.low, found.high) == pytest.approx((20 / factor, 20 * factor), rel=1e-5)


def test_long_utterances_count_by_what_the_rate_is_without_them():
    errors, words = np.array([0, 3, 9, 2]), np.array([5, 10, 40, 8])
    without = [100 * (14 - errors[place]) / (63 - words[place]) for place in range(4)]
    moved = np.subtract(without, 100 * 14 / 63)
    assert error_rate(errors, TestSet(words)).se == pytest.approx(np.sqrt(4 / 3 * (moved**2).sum()))


def test_seeds_and_utterances_are_joined_by_hand():
    """Two seeds of four utterances with ten words; in hundredths of an error per utterance, all by the definitions."""
    errors = np.array([[1.0, 2.0, 3.0, 2.0], [2.0, 2.0, 5.0, 3.0]])
    found = difference(errors, np.zeros((2, 4)), TestSet([10] * 4))
    assert found.value == pytest.approx(25.0)  # of 20 and 30
    over_seeds = 50.0 / 2
    # A tenth of the errors less those of the mean, of 30 words: −10, 0, 10, 0 and −10, −10, 20, 0, mean −10, −5, 15, 0.
    over_utterances = 4 / 3 * (10**2 + 5**2 + 15**2) / 9
    both = 4 / 3 * (2 * 5**2 + 2 * 5**2) / 2 / 9
    variance = over_seeds + over_utterances - both
    assert found.se == pytest.approx(np.sqrt(variance))
    assert found.df == pytest.approx(variance**2 / (3 * over_seeds**2 + over_utterances**2 / 3))


def test_languages_count_alike_and_are_no_sample():
    errors, lengths = [1, 3, 0, 4, 2], [10, 10, 5, 5, 5]
    languages = ["en", "en", "fr", "fr", "fr"]
    found = error_rate(errors, TestSet(lengths, languages))
    english, french = error_rate(errors[:2], TestSet(lengths[:2])), error_rate(errors[2:], TestSet(lengths[2:]))
    assert found.value == pytest.approx((english.value + french.value) / 2)
    assert found.se == pytest.approx(np.hypot(english.se, french.se) / 2)
    shuffled = [3, 0, 4, 1, 2]
    again = error_rate(
        [errors[place] for place in shuffled],
        TestSet([lengths[place] for place in shuffled], [languages[place] for place in shuffled]),
    )
    assert (again.value, again.se, again.df) == pytest.approx((found.value, found.se, found.df))


def test_the_unit_is_the_speaker_from_ten_speakers_on():
    """Ten speakers whose two utterances are alike are ten units, just as though each had one of twice the length."""
    errors, lengths = np.arange(20) // 2, [10] * 20
    voices = [f"speaker {place // 2}" for place in range(20)]
    test = TestSet(lengths, speakers=voices)
    clustered, merged = error_rate(errors, test), error_rate(2 * np.arange(10), TestSet([20] * 10))
    assert (clustered.value, clustered.se, clustered.df) == pytest.approx((merged.value, merged.se, merged.df))
    assert not test.these_speakers
    order = np.random.default_rng(0).permutation(20)
    mixed = error_rate(errors[order], TestSet(lengths, speakers=[voices[place] for place in order]))
    assert mixed.se == pytest.approx(clustered.se)
    few = TestSet(lengths[:18], speakers=voices[:18])
    assert few.these_speakers and TestSet(lengths).these_speakers
    assert error_rate(errors[:18], few).se == pytest.approx(error_rate(errors[:18], TestSet(lengths[:18])).se)


def test_differences_are_paired_and_antisymmetric():
    generator = np.random.default_rng(0)
    (a, b), test = counts(generator, 1, 3, 50, (0.1, 0.12), 0.1)
    one, other = difference(a[0], b[0], test), difference(b[0], a[0], test)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert one.p_below(0) == pytest.approx(other.p_above(0))
    assert one.se < np.hypot(error_rate(a[0], test).se, error_rate(b[0], test).se)
    assert relative_change(a[0], b[0], test).value == pytest.approx(100 * (a[0].sum() / b[0].sum() - 1))


def test_a_multiple_of_the_reference_is_that_multiple_with_every_seed_and_utterance():
    (reference,), test = counts(np.random.default_rng(0), 1, 3, 50, (0.2,), 0.2)
    found = relative_change(3 * reference[0], reference[0], test)
    assert found.value == pytest.approx(200.0)
    assert found.high - found.low < 10  # all that is left is that of an utterance with one error more or less


def test_one_reference_goes_with_all_seeds():
    (errors, reference), test = counts(np.random.default_rng(0), 1, 3, 50, (0.1, 0.12), 0.1)
    one = reference[0, 0]
    found, repeated = difference(errors[0], one, test), difference(errors[0], np.tile(one, (3, 1)), test)
    assert vars(found) == pytest.approx(vars(repeated))
    assert found.seeds == 3
    with pytest.raises(SecateurError, match="3 seeds against 2"):
        difference(errors[0], reference[0, :2], test)


def test_interval_and_p_value_agree():
    for floor, value in ((-np.inf, -3.0), (0.0, 4.0), (-100.0, -20.0)):
        found = Estimate(value, 1.5, 6.0, 3, 100, floor)
        assert found.p_below(found.high) == pytest.approx(0.025)
        assert found.p_above(found.low) == pytest.approx(0.025)
        assert found.p_below(value) == pytest.approx(0.5)
        assert found.p_above(floor) == pytest.approx(0.0, abs=1e-12)


def test_where_nothing_differs_an_error_more_or_less_is_still_to_be_expected():
    test = TestSet([10] * 100)
    found = difference([1] * 100, [1] * 100, test)
    assert (found.value, found.se) == (0.0, pytest.approx(0.1))


def test_no_error_at_all_says_what_would_give_none_in_2_5_percent_of_test_sets():
    """exp(−3.69) = 0.025: so many errors in 1000 words, in 37 of 10 000, and t instead of the normal distribution."""
    none = error_rate([0] * 100, TestSet([10] * 100))
    assert (none.value, none.low) == (0.0, 0.0) and none.high == pytest.approx(0.369 * 1.984 / 1.96, abs=1e-3)
    perfect = relative_change([0] * 100, [1] * 100, TestSet([10] * 100))
    assert (perfect.value, perfect.low) == (-100, -100) and perfect.high == pytest.approx(-100 + 3.7345, abs=1e-3)


def test_one_utterance_shows_no_spread():
    found = difference([1], [0], TestSet([10]))
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert found.p_below(0) == found.p_above(0) == 0.5


def test_unusable_counts_are_named():
    test = TestSet([10, 10])
    with pytest.raises(SecateurError, match="for 2 utterances"):
        error_rate([1, 2, 3], test)
    with pytest.raises(SecateurError, match="reference makes no errors"):
        relative_change([1, 0], [0, 0], test)
    with pytest.raises(SecateurError, match="empty reference"):
        TestSet([10, 0])
    with pytest.raises(SecateurError, match="1 speakers for 2 utterances"):
        TestSet([10, 10], speakers=["a"])


def covered(found, truth):
    """In how many percent of simulations the interval holds the truth, by its p-values."""
    return 100 * np.mean((found.p_below(truth) >= 0.025) & (found.p_above(truth) >= 0.025))


@pytest.mark.parametrize("utterances, speakers", [(100, None), (100, 10), (200, 40)])
def test_intervals_over_seeds_and_utterances_cover_95_percent(utterances, speakers):
    """At least 93 % everywhere and at most 99 % on average, from no variance over seeds to one that outweighs all."""
    generator, found = np.random.default_rng(0), {}
    for seeds in (3, 8):
        for spread in SPREADS:
            for rate in (0.04, 0.25):
                systems, test = counts(generator, SIMULATIONS, seeds, utterances, (rate, 1.2 * rate), spread, speakers)
                numbers = {
                    "rate": (error_rate(systems[0], test), 100 * rate),
                    "difference": (difference(systems[1], systems[0], test), 20 * rate),
                    "relative": (relative_change(systems[1], systems[0], test), 20.0),
                }
                for name, number in numbers.items():
                    found[name, seeds, spread, rate] = covered(*number)
    assert min(found.values()) >= 93, found
    assert np.mean(list(found.values())) <= 99


@pytest.mark.parametrize("utterances, speakers", [(100, None), (100, 12), (200, 40)])
def test_with_one_seed_the_interval_covers_the_error_rate_of_that_model(utterances, speakers):
    """Its own rate is what it makes on all utterances of the kind, which differs from that of other seeds."""
    generator, found = np.random.default_rng(2), {}
    for rate in (0.04, 0.25):
        (errors,), test = counts(generator, 2 * SIMULATIONS, 1, utterances, (rate,), 0.0, speakers)
        found[rate] = covered(error_rate(errors, test), 100 * rate)
    assert min(found.values()) >= 93, found
    assert np.mean(list(found.values())) <= 99


def test_a_plain_bootstrap_over_three_seeds_would_cover_far_too_little():
    """Why seeds have Student's t: all 27 draws of three seeds' means, 95 % of them."""
    generator = np.random.default_rng(0)
    seeds = generator.normal(size=(2000, 3))
    draws = seeds[:, np.indices((3, 3, 3)).reshape(3, -1)].mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) < 0.8


def test_equal_systems_are_called_different_in_at_most_5_percent():
    generator = np.random.default_rng(3)
    for seeds in (1, 3, 8):
        for spread in SPREADS if seeds > 1 else (0.0,):
            (a, b), test = counts(generator, 2 * SIMULATIONS, seeds, 100, (0.15, 0.15), spread)
            found = difference(a, b, test)
            wrong = np.mean((found.p_below(0) < 0.025) | (found.p_above(0) < 0.025))
            assert wrong <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / (2 * SIMULATIONS)), (seeds, spread, wrong)


@pytest.mark.parametrize("seeds", [3, 8])
@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0, 3.0])
def test_the_smallest_detectable_difference_is_detected_in_80_percent(seeds, spread):
    """The true effect is what studies of the kind call detectable, on average. Normal counts, in units of their noise.

    A seed's own deviation is `spread` times that of the mean over utterances.
    """
    generator, test = np.random.default_rng(4), TestSet([100] * 100)
    normal = generator.normal
    noise = normal(size=(2 * SIMULATIONS, 1, 100)) + normal(size=(2 * SIMULATIONS, seeds, 100))
    errors = noise + spread * normal(size=(2 * SIMULATIONS, seeds, 1)) / np.sqrt(50)
    effect = np.mean(difference(errors, np.zeros(100), test).detectable)
    found = np.mean(difference(errors + effect, np.zeros(100), test).p_above(0) < 0.025)
    assert 0.74 <= found <= 0.86, found


def test_times_of_several_seeds_are_joined_on_the_scale_of_logarithms():
    """Ratios of 0.5 and 0.72: their geometric mean is 0.6, and t of one degree of freedom over log(0.5), log(0.72)."""
    found = mean_ratio([0.5, 0.72], [0.0, 0.0])
    assert (found.value, found.seeds, found.df) == (pytest.approx(0.6), 2, 1)
    factor = np.exp(12.706 * np.log(1.44) / 2)
    assert (found.low, found.high) == pytest.approx((0.6 / factor, 0.6 * factor), rel=1e-3)
    assert found.p_below(found.high) == pytest.approx(0.025)
