"""Error rates and intervals against hand-computed numbers and complete enumeration."""

import pytest

from secateur.core.errors import SecateurError
from secateur.decoding import scoring
from secateur.statistics.estimates import TestSet, error_rate

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


def test_the_interval_is_that_of_the_tables():
    errors, words = [0, 1, 3, 0, 2, 1], [5, 7, 4, 9, 3, 6]
    found, table = scoring.word_error_rate(errors, words), error_rate(errors, TestSet(words))
    assert found == scoring.Interval(pytest.approx(100 * 7 / 34), table.low, table.high)
    assert found.low < 100 * 7 / 34 < found.high


def test_of_one_utterance_no_upper_end_is_known():
    result = scoring.summary(scoring.score({"a": "one two"}, {"a": "one"}))
    assert (result["wer"], result["wer_low"], result["wer_high"]) == (50.0, 0.0, None)


def test_average_is_the_unweighted_mean_over_languages():
    languages = {"en": ([0, 1, 3, 2], [5, 7, 4, 9]), "fr": ([6, 1], [10, 10])}
    found = scoring.average_error_rate(languages)
    assert found.value == pytest.approx((100 * 6 / 25 + 35) / 2)
    table = error_rate([0, 1, 3, 2, 6, 1], TestSet([5, 7, 4, 9, 10, 10], ["en"] * 4 + ["fr"] * 2))
    assert (found.low, found.high) == (table.low, table.high)


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
