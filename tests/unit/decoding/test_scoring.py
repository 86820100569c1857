"""Error rates and intervals against hand-computed numbers and complete enumeration."""

import itertools

import numpy as np
import pytest

from secateur.core.errors import SecateurError
from secateur.decoding import scoring

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


def every_resample(errors, words):
    """The exact bootstrap distribution: rates of all n^n draws."""
    draws = np.array(list(itertools.product(range(len(words)), repeat=len(words))))
    return 100 * np.array(errors)[draws].sum(axis=1) / np.array(words)[draws].sum(axis=1)


def test_interval_agrees_with_all_possible_resamples():
    errors, words = [0, 1, 3, 0, 2, 1], [5, 7, 4, 9, 3, 6]
    exact = every_resample(errors, words)
    interval = scoring.word_error_rate(errors, words)
    assert interval.value == pytest.approx(100 * 7 / 34)
    assert interval.low == pytest.approx(np.percentile(exact, 2.5), abs=0.6)
    assert interval.high == pytest.approx(np.percentile(exact, 97.5), abs=1.5)


def test_interval_covers_about_95_percent(monkeypatch):
    monkeypatch.setattr(scoring, "RESAMPLES", 500)
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(400):
        errors = generator.binomial(10, 0.3, 100)
        interval = scoring.word_error_rate(errors, [10] * 100, seed=trial)
        covered += interval.low <= 30 <= interval.high
    assert 0.91 <= covered / 400 <= 0.98


def test_intervals_are_seeded_and_do_not_depend_on_the_chunk_size(monkeypatch):
    errors, words = [0, 1, 3, 0, 2, 1], [5, 7, 4, 9, 3, 6]
    whole = scoring.word_error_rate(errors, words)
    assert whole == scoring.word_error_rate(errors, words)
    assert whole != scoring.word_error_rate(errors, words, seed=1)
    monkeypatch.setattr(scoring, "_CELLS_AT_ONCE", 7)
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
    assert interval.low == pytest.approx(np.percentile(mean, 2.5), abs=1)
    assert interval.high == pytest.approx(np.percentile(mean, 97.5), abs=1)
    assert interval.high - interval.low < 0.8 * np.ptp(np.percentile(exact, [2.5, 97.5]))


def test_paired_bootstrap_agrees_with_all_possible_resamples():
    a, b, words = [0, 1, 3, 0, 2, 1], [1, 1, 2, 2, 3, 2], [5, 7, 4, 9, 3, 6]
    exact = every_resample(a, words) - every_resample(b, words)
    comparison = scoring.paired_bootstrap(a, b, words)
    assert comparison.difference.value == pytest.approx(100 * (7 - 11) / 34)
    assert comparison.difference.low == pytest.approx(np.percentile(exact, 2.5), abs=1)
    assert comparison.difference.high == pytest.approx(np.percentile(exact, 97.5), abs=1)
    assert comparison.p_value == pytest.approx(2 * np.mean(exact >= 0), abs=0.02)


def test_paired_bootstrap_is_antisymmetric():
    a, b, words = [0, 1, 3, 0, 2, 1], [1, 1, 2, 2, 3, 2], [5, 7, 4, 9, 3, 6]
    one, other = scoring.paired_bootstrap(a, b, words), scoring.paired_bootstrap(b, a, words)
    assert one.difference.low == pytest.approx(-other.difference.high)
    assert one.p_value == other.p_value


def test_equal_systems_do_not_differ():
    comparison = scoring.paired_bootstrap([1, 2, 0], [1, 2, 0], [4, 5, 6])
    assert comparison == scoring.Comparison(scoring.Interval(0.0, 0.0, 0.0), 1.0)


def test_a_system_that_is_always_better_has_the_smallest_p_value():
    comparison = scoring.paired_bootstrap([0, 0, 0], [1, 1, 1], [4, 5, 6])
    assert comparison.p_value == pytest.approx(2 / 10_001)


def test_paired_bootstrap_refuses_different_data():
    with pytest.raises(SecateurError, match="3 and 2 utterances"):
        scoring.paired_bootstrap([1, 2, 0], [1, 2], [4, 5, 6])


def test_a_paired_average_weighs_languages_alike_and_resamples_each_by_itself():
    few, many = ([1, 0], [0, 0], [5, 5]), ([0] * 40, [1] * 40, [4] * 40)
    comparison = scoring.paired_average({"en": few, "fr": many})
    # en: +10 points; fr: -25 points in every draw, so only en's draws (0, 10 or 20 points) make the interval.
    assert comparison.difference == scoring.Interval(-7.5, -12.5, -2.5)
    assert comparison.p_value == pytest.approx(2 / 10_001)
    same = scoring.paired_average({"en": few, "fr": ([1, 0], [1, 0], [9, 1])})
    assert same.difference.value == 5.0 and same.difference.low == 0.0
    assert same.p_value == pytest.approx(2 * 1 / 4, abs=0.02), "a quarter of the draws of en has no difference"


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
