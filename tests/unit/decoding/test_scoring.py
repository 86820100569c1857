"""Error rates and intervals against hand-computed numbers and complete enumeration."""

import itertools

import numpy as np
import pytest

from secateur.core.errors import SecateurError
from secateur.decoding import scoring
from secateur.statistics import bootstrap

REFERENCES = {"a": "the cat sat", "b": "on the mat", "c": "yes"}
HYPOTHESES = {"c": "", "a": "the bat sat", "b": "on on the"}


def test_counts_of_a_hand_computed_example():
    first, second, third = scoring.score(REFERENCES, HYPOTHESES)
    assert (first.substitutions, first.deletions, first.insertions, first.words) == (1, 0, 0, 3)
    assert (first.characters, first.character_errors) == (11, 1)
    assert second.errors == 2
    assert (third.substitutions, third.deletions, third.insertions) == (0, 1, 0)
    assert (third.characters, third.character_errors) == (3, 3)
    assert third.alignment == (("yes", None),)


def test_summary_is_corpus_level():
    result = scoring.summary(scoring.score(REFERENCES, HYPOTHESES))
    assert result["wer"] == pytest.approx(100 * 4 / 7)
    assert (result["errors"], result["words"], result["utterances"]) == (4, 7, 3)
    assert result["substitutions"] + result["deletions"] + result["insertions"] == 4
    assert result["wer_low"] <= result["wer"] <= result["wer_high"]


def test_insertions_can_exceed_one_hundred_percent():
    result = scoring.summary(scoring.score({"a": "no"}, {"a": "oh no no"}))
    assert (result["wer"], result["insertions"]) == (200.0, 2)


def test_extra_spaces_do_not_count():
    result = scoring.summary(scoring.score({"a": " hello  world "}, {"a": "hello world"}))
    assert (result["errors"], result["cer"], result["characters"]) == (0, 0.0, 11)


def test_accented_letters_are_one_character():
    (item,) = scoring.score({"a": "été"}, {"a": "ete"})
    assert (item.characters, item.character_errors) == (3, 2)


@pytest.mark.parametrize(
    ("references", "hypotheses", "message"),
    [
        ({"utt7": "  "}, {"utt7": "x"}, "utt7.*empty reference"),
        ({"utt7": "x"}, {}, "utt7.*no hypothesis"),
        ({"a": "x"}, {"a": "x", "utt8": "y"}, "utt8.*no reference"),
        ({}, {}, "no utterance"),
    ],
)
def test_unusable_input_is_named(references, hypotheses, message):
    with pytest.raises(SecateurError, match=message):
        scoring.score(references, hypotheses)


def ends(exact, tail):
    """The percentiles `tail` and 100 − `tail`."""
    return np.percentile(exact, [tail, 100 - tail])


def every_resample(errors, words):
    """The exact bootstrap distribution: rates of all n^n draws."""
    draws = np.array(list(itertools.product(range(len(words)), repeat=len(words))))
    return 100 * np.array(errors)[draws].sum(axis=1) / np.array(words)[draws].sum(axis=1)


# Percentiles of a bootstrap of few utterances that make a 95 % interval (Hesterberg 2015), from tables of t and normal:
# six in one language, 5 degrees of freedom: Φ(−2.571·√(6/5)); twice four, 6 degrees of freedom: Φ(−2.447·√(8/6)).
TAIL_OF_SIX, TAIL_OF_TWICE_FOUR = 0.243, 0.236


def test_interval_agrees_with_all_possible_resamples():
    errors, words = [0, 1, 3, 0, 2, 1], [5, 7, 4, 9, 3, 6]
    exact = every_resample(errors, words)
    interval = scoring.word_error_rate(errors, words)
    assert interval.value == pytest.approx(100 * 7 / 34)
    assert [interval.low, interval.high] == pytest.approx(ends(exact, TAIL_OF_SIX), abs=1)


def test_intervals_are_seeded_and_do_not_depend_on_the_chunk_size(monkeypatch):
    errors, words = [0, 1, 3, 0, 2, 1], [5, 7, 4, 9, 3, 6]
    whole = scoring.word_error_rate(errors, words)
    assert whole == scoring.word_error_rate(errors, words)
    assert whole != scoring.word_error_rate(errors, words, seed=1)
    monkeypatch.setattr(bootstrap, "_CELLS_AT_ONCE", 700)
    assert scoring.word_error_rate(errors, words) == whole


def test_no_spread_when_all_utterances_are_alike():
    assert scoring.word_error_rate([1, 1, 1], [4, 4, 4]) == scoring.Interval(25.0, 25.0, 25.0)


def test_average_is_the_unweighted_mean_over_languages():
    languages = {"en": ([1, 1], [10, 10]), "fr": ([6], [10])}
    assert scoring.average_error_rate(languages) == scoring.Interval(35.0, 35.0, 35.0)


def test_average_resamples_within_each_language():
    errors, words = [0, 1, 3, 2], [5, 7, 4, 9]
    exact = every_resample(errors, words)
    mean = np.add.outer(exact, exact).ravel() / 2
    interval = scoring.average_error_rate({"en": (errors, words), "fr": (errors, words)})
    assert [interval.low, interval.high] == pytest.approx(ends(mean, TAIL_OF_TWICE_FOUR), abs=2.5)
    assert interval.high - interval.low < 0.85 * np.ptp(ends(exact, TAIL_OF_TWICE_FOUR))


def test_paired_bootstrap_agrees_with_all_possible_resamples():
    a, b, words = [0, 1, 3, 0, 2, 1], [1, 1, 2, 2, 3, 2], [5, 7, 4, 9, 3, 6]
    exact = every_resample(a, words) - every_resample(b, words)
    comparison = scoring.paired_bootstrap(a, b, words)
    assert comparison.difference.value == pytest.approx(100 * (7 - 11) / 34)
    found = [comparison.difference.low, comparison.difference.high]
    assert found == pytest.approx(ends(exact, TAIL_OF_SIX), abs=1)
    # Φ⁻¹(0.0700) = −1.4755, and P(T₅ < −1.4755·√(5/6)) = 0.1179 by the closed form of T₅.
    assert np.mean(exact >= 0) == pytest.approx(0.0700, abs=5e-5)
    assert comparison.p_value == pytest.approx(2 * 0.1179, abs=0.01)


def test_paired_bootstrap_is_antisymmetric():
    a, b, words = [0, 1, 3, 0, 2, 1], [1, 1, 2, 2, 3, 2], [5, 7, 4, 9, 3, 6]
    one, other = scoring.paired_bootstrap(a, b, words), scoring.paired_bootstrap(b, a, words)
    assert one.difference.low == pytest.approx(-other.difference.high)
    assert one.p_value == other.p_value


def test_equal_systems_do_not_differ():
    comparison = scoring.paired_bootstrap([1, 2, 0], [1, 2, 0], [4, 5, 6])
    assert comparison == scoring.Comparison(scoring.Interval(0.0, 0.0, 0.0), 1.0)


def test_a_system_that_is_always_better_on_many_utterances_has_the_smallest_p_value():
    """The raw one is 2 in 10 001 whatever their number; of three utterances Student's t makes much less of it."""
    few = scoring.paired_bootstrap([0, 0, 0], [1, 1, 1], [4, 5, 6]).p_value
    many = scoring.paired_bootstrap([0] * 3000, [1] * 3000, [4, 5, 6] * 1000).p_value
    # Φ⁻¹(1/10001) = −3.719; P(T₂ < x) = 1/2 + x / (2·√(2 + x²)) with x = −3.719·√(2/3) = −3.037.
    assert few == pytest.approx(2 * (0.5 - 3.037 / (2 * (2 + 3.037**2) ** 0.5)), abs=2e-4)
    assert many == pytest.approx(2 / 10_001, rel=0.03)


def test_paired_bootstrap_refuses_different_data():
    with pytest.raises(SecateurError, match="3 and 2 utterances"):
        scoring.paired_bootstrap([1, 2, 0], [1, 2], [4, 5, 6])


def test_a_paired_average_weighs_languages_alike_and_resamples_each_by_itself():
    few, many = ([1, 0], [0, 0], [5, 5]), ([0] * 40, [1] * 40, [4] * 40)
    comparison = scoring.paired_average({"en": few, "fr": many})
    # en: +10 points; fr: -25 points in every draw, so only en's draws (0, 10 or 20 points) make the interval.
    assert vars(comparison.difference) == pytest.approx({"value": -7.5, "low": -12.5, "high": -2.5})
    assert comparison.p_value < 0.001
    same = scoring.paired_average({"en": few, "fr": ([1, 0], [1, 0], [9, 1])})
    assert same.difference.value == 5.0 and same.difference.low == 0.0
    # A quarter of the draws of en has no difference: Φ⁻¹(1/4) = −0.674; x = −0.674·√(2/4) of T₂, as above.
    assert same.p_value == pytest.approx(2 * (0.5 - 0.477 / (2 * (2 + 0.477**2) ** 0.5)), abs=0.02)


def test_alignment_text_shows_the_worst_utterance_first():
    scores = scoring.score(
        {"fine": "all good", "one": "the cat sat", "two": "on the mat"},
        {"fine": "all good", "one": "the kitten sat", "two": "the mat was red"},
    )
    assert scoring.alignment_text(scores) == (
        "1 of 3 utterances without an error; the others, worst first\n"
        "\n"
        "two  3 errors in 3 words\n"
        "REF on the mat *   *\n"
        "HYP *  the mat was red\n"
        "    D          I   I\n"
        "\n"
        "one  1 errors in 3 words\n"
        "REF the cat    sat\n"
        "HYP the kitten sat\n"
        "        S\n"
    )
