"""The SUPERB score by hand, and on the figures of S4's table 1."""

import pytest

from secateur.core.errors import SecateurError
from secateur.ssl.score import superb_score, task_score, telling

HIGHER = {"ks": {"acc": True}, "sf": {"f1": True, "cer": False}, "asr": {"wer": False}}
COLUMNS = ("ks", "ic", "pr", "asr", "er", "qbe", "sf f1", "sf cer", "sid", "sv", "sd")
TABLE = {
    "wav2vec": ((95.59, 84.92, 31.58, 15.86, 59.79, 4.85, 76.37, 43.71, 56.56, 7.99, 9.90), 491.59),
    "w2v2 Base": ((96.23, 92.35, 5.74, 6.43, 63.43, 2.33, 88.30, 24.77, 75.18, 6.02, 6.08), 735.00),
    "HuBERT Base": ((96.30, 98.34, 5.41, 6.42, 64.92, 7.36, 88.53, 25.20, 81.42, 5.11, 5.88), 837.63),
    "WavLM Base": ((96.79, 98.63, 4.84, 6.21, 65.94, 8.70, 89.38, 22.86, 84.51, 4.69, 4.55), 895.99),
    "DistilHuBERT": ((95.98, 94.99, 16.27, 13.37, 63.02, 5.11, 82.57, 35.39, 73.54, 8.55, 6.19), 647.88),
    "DistilWavLM": ((96.40, 96.39, 14.18, 13.24, 63.69, 7.07, 85.27, 31.80, 71.00, 8.87, 7.20), 668.39),
    "Proposed": ((96.57, 98.08, 9.09, 10.61, 63.61, 7.40, 87.14, 27.13, 74.56, 6.17, 6.11), 769.62),
    "w/o FAHP": ((96.14, 98.05, 10.51, 11.83, 63.78, 5.19, 85.57, 30.91, 70.03, 6.12, 7.18), 721.79),
}


def by_task(row):
    values: dict[str, dict[str, float]] = {}
    for column, value in zip(COLUMNS, row, strict=True):
        task, _, metric = column.partition(" ")
        values.setdefault(task, {})[metric or "value"] = value
    return values


def test_a_score_by_hand():
    zero = {"ks": {"acc": 40.0}, "sf": {"f1": 60.0, "cer": 50.0}, "asr": {"wer": 20.0}}
    reference = {"ks": {"acc": 90.0}, "sf": {"f1": 80.0, "cer": 10.0}, "asr": {"wer": 10.0}}
    values = {"ks": {"acc": 65.0}, "sf": {"f1": 75.0, "cer": 40.0}, "asr": {"wer": 22.0}}
    assert task_score("ks", values, zero, reference) == 500.0
    assert task_score("sf", values, zero, reference) == (750.0 + 250.0) / 2
    assert task_score("asr", values, zero, reference) == pytest.approx(-200.0)
    assert superb_score(values, zero, reference) == pytest.approx((500 + 500 - 200) / 3)
    assert superb_score(zero, zero, reference) == 0.0
    assert superb_score(reference, zero, reference) == 1000.0


def test_the_documents_models_come_in_the_order_of_its_scores():
    """Its zero and its reference are on SUPERB's leaderboard, not in the document; the order follows from its table."""
    zero, reference = (by_task(TABLE[name][0]) for name in ("wav2vec", "WavLM Base"))
    found = {name: superb_score(by_task(values), zero, reference) for name, (values, _) in TABLE.items()}
    assert sorted(found, key=found.get) == sorted(TABLE, key=lambda name: TABLE[name][1])


def test_what_cannot_be_scored_is_named():
    with pytest.raises(SecateurError, match="ks \\(acc\\) was not run"):
        superb_score({"ks": {"acc": 1.0}}, {}, {"ks": {"acc": 1.0}})
    with pytest.raises(SecateurError, match=r"both 1.0 in ks"):
        superb_score({"ks": {"acc": 2.0}}, {"ks": {"acc": 1.0}}, {"ks": {"acc": 1.0}})
    with pytest.raises(SecateurError, match="no task"):
        superb_score({}, {}, {})


def test_tasks_tell_something_only_where_the_reference_is_better_in_all_metrics():
    zero = {"ks": {"acc": 40.0}, "sf": {"f1": 60.0, "cer": 50.0}, "asr": {"wer": 20.0}}
    reference = {"ks": {"acc": 40.0}, "sf": {"f1": 61.0, "cer": 49.0}, "asr": {"wer": 21.0}}
    assert telling(HIGHER, zero, reference) == ["sf"]
    assert telling(HIGHER, zero, reference | {"sf": {"f1": 61.0, "cer": 51.0}}) == []
    assert telling(HIGHER, zero, {"asr": {"wer": 19.0}}) == ["asr"]
