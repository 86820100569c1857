"""Latency summaries against hand-computed numbers."""

import pytest

from secateur.errors import SecateurError
from secateur.files import read_tsv, write_tsv
from secateur.timing import latency

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
