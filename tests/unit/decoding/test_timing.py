"""Latency summaries against hand-computed numbers."""

import pytest

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv, write_tsv
from secateur.decoding.timing import latency, latency_intervals, relative_time, share_of_time

ROWS = [
    {"utterance": "a", "duration_s": 2.0, "encoder_s": 0.1, "search_s": 0.2, "lm_s": 0.3},
    {"utterance": "b", "duration_s": 3.0, "encoder_s": 0.3, "search_s": 0.6, "lm_s": 0.5},
    {"utterance": "c", "duration_s": 5.0, "encoder_s": 0.2, "search_s": 0.7, "lm_s": 0.1},
]


def test_hand_computed_summary():
    result = latency(ROWS)
    assert result["encoder_s"] == pytest.approx(0.2)
    assert result["search_s"] == pytest.approx(0.5)
    assert result["lm_s"] == pytest.approx(0.3)
    assert result["total_s"] == pytest.approx(1.0)
    assert result["p50_s"] == pytest.approx(1.0)
    assert result["p95_s"] == pytest.approx(1.4 - 0.1 * 0.4)
    assert result["rtf"] == pytest.approx(3.0 / 10)


def test_reads_what_the_decoder_writes(tmp_path):
    write_tsv(tmp_path / "hypotheses.tsv", list(ROWS[0]), ROWS)
    assert latency(read_tsv(tmp_path / "hypotheses.tsv")) == latency(ROWS)


def test_unusable_rows_are_named():
    with pytest.raises(SecateurError, match="no decoded utterance"):
        latency([])
    with pytest.raises(SecateurError, match="'b' lasts 0"):
        latency([ROWS[0], ROWS[1] | {"duration_s": 0.0}])


def test_intervals_of_utterances_that_are_all_alike_have_no_width():
    rows = [ROWS[0] | {"utterance": str(number)} for number in range(5)]
    for name, (low, high) in latency_intervals(rows).items():
        assert low == pytest.approx(high) == pytest.approx(latency(rows)[name])


def test_intervals_of_means_shrink_as_they_should():
    """Totals of 0 and 1 second in equal numbers: the mean of n has a standard deviation of 0.5/√n."""
    rows = [
        {"utterance": str(number), "duration_s": 2.0, "encoder_s": float(number % 2), "search_s": 0.0, "lm_s": 0.0}
        for number in range(400)
    ]
    intervals = latency_intervals(rows)
    for name, scale in (("encoder_s", 1.0), ("total_s", 1.0), ("rtf", 0.5)):
        low, high = intervals[name]
        assert low == pytest.approx(scale * (0.5 - 1.96 * 0.025), abs=0.006 * scale)
        assert high == pytest.approx(scale * (0.5 + 1.96 * 0.025), abs=0.006 * scale)
    assert intervals["lm_s"] == (0.0, 0.0)
    assert intervals == latency_intervals(rows)


def test_times_are_compared_utterance_by_utterance():
    """Half the time on each utterance is half the time on any draw of them, however different they are."""
    half = [row | {part: row[part] / 2 for part in ("encoder_s", "search_s", "lm_s")} for row in ROWS]
    assert relative_time(half, ROWS) == pytest.approx((0.5, 0.5, 0.5))
    without_lm = [row | {"lm_s": 0.0} for row in ROWS]
    ratio, low, high = relative_time(without_lm, ROWS)
    assert ratio == pytest.approx(2.1 / 3.0)
    assert pytest.approx(low, abs=0.01) == 0.5 and high == pytest.approx(0.9, abs=0.01)  # those of a and c alone
    with pytest.raises(SecateurError, match="not of the same utterances"):
        relative_time(ROWS[:2], ROWS)


def test_the_share_of_a_part_is_of_all_seconds_and_its_interval_of_the_utterances():
    rows = [
        {"utterance": "a", "duration_s": 1.0, "encoder_s": 1.0, "search_s": 0.0, "lm_s": 1.0},
        {"utterance": "b", "duration_s": 1.0, "encoder_s": 2.0, "search_s": 4.0, "lm_s": 2.0},
    ]
    # 3 of 10 seconds; if the first is drawn twice 1 of 2, if the second is 2 of 8.
    assert share_of_time(rows, "lm_s") == pytest.approx((0.3, 0.25, 0.5))
    assert share_of_time(rows[:1], "encoder_s") == (0.5, 0.5, 0.5)
