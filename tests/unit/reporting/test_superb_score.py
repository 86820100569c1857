"""The SUPERB score by hand, and on the figures of S4's table 1."""

import pytest

from secateur.core.errors import SecateurError
from secateur.reporting import published
from secateur.ssl.scales import OWN, by_task, scale_of, scored, superb_scale
from secateur.ssl.score import superb_score, task_score, telling

HIGHER = {"ks": {"acc": True}, "sf": {"f1": True, "cer": False}, "asr": {"wer": False}}
# Of the figures of S4's table 1, computed apart from the package; the document prints 721.79 for the last.
FROM_ITS_FIGURES = {
    "wav2vec": 491.45,
    "w2v2 Base": 734.94,
    "HuBERT Base": 837.62,
    "WavLM Base": 895.99,
    "DistilHuBERT": 647.84,
    "DistilWavLM": 668.37,
    "Proposed": 769.61,
    "w/o FAHP": 707.10,
}
PRINTED = {name: figures["score", "score"] for name, figures in published.S4_SUPERB.items()}


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


def test_the_eight_published_scores_come_out_but_for_one_that_the_document_contradicts():
    scale = superb_scale()
    assert scale.tasks == ("ks", "ic", "pr", "asr", "er", "qbe", "sf", "sid", "sv", "sd")
    found = {name: scale.score(by_task(figures)) for name, figures in published.S4_SUPERB.items()}
    assert found == pytest.approx(FROM_ITS_FIGURES, abs=0.01)
    for name, printed in PRINTED.items():
        assert abs(found[name] - printed) < 0.15 or name == "w/o FAHP"
    assert PRINTED["w/o FAHP"] - found["w/o FAHP"] == pytest.approx(14.69, abs=0.01)
    assert "707.1" in published.S4_SCORE_NOTE


def test_the_ends_of_superbs_scale_are_0_and_1000_and_slot_filling_counts_by_f1_alone():
    scale = superb_scale()
    assert (scale.score(scale.zero), scale.score(scale.reference)) == (0.0, 1000.0)
    assert scale.reference["sf"] == {"f1": 92.21}
    measured = {"sf": {"metrics": {"f1": measure(80.0), "cer": measure(30.0) | {"scored": False}}}}
    assert scored(measured) == {"sf": {"f1": 80.0}}


def measure(value):
    return {"value": value, "higher_is_better": True, "scored": True}


def test_a_study_is_on_superbs_scale_only_with_all_its_tasks_on_its_data():
    official = {task: {"source": "official"} for task in superb_scale().tasks}
    zero, teacher = ({"ks": {"metrics": {"acc": measure(value)}}} for value in (40.0, 60.0))
    assert scale_of(official, zero, teacher) == superb_scale()
    for options in (official | {"ks": {"source": "directories"}}, {"ks": {"source": "official"}}):
        own = scale_of(options, zero, teacher)
        assert (own.name, own.tasks) == (OWN, ("ks",)) and own.score({"ks": {"acc": 50.0}}) == 500.0
    assert scale_of({}, teacher, zero).tasks == ()


def test_what_cannot_be_scored_is_named():
    with pytest.raises(SecateurError, match="ks \\(acc\\) was not run"):
        superb_score({"ks": {"acc": 1.0}}, {}, {"ks": {"acc": 1.0}})
    with pytest.raises(SecateurError, match=r"both 1.0 in ks"):
        superb_score({"ks": {"acc": 2.0}}, {"ks": {"acc": 1.0}}, {"ks": {"acc": 1.0}})
    with pytest.raises(SecateurError, match="ic was not run"):
        superb_scale().score({"ks": {"acc": 50.0}})
    with pytest.raises(SecateurError, match="no task"):
        superb_score({}, {}, {})


def test_tasks_tell_something_only_where_the_reference_is_better_in_all_metrics():
    zero = {"ks": {"acc": 40.0}, "sf": {"f1": 60.0, "cer": 50.0}, "asr": {"wer": 20.0}}
    reference = {"ks": {"acc": 40.0}, "sf": {"f1": 61.0, "cer": 49.0}, "asr": {"wer": 21.0}}
    assert telling(HIGHER, zero, reference) == ["sf"]
    assert telling(HIGHER, zero, reference | {"sf": {"f1": 61.0, "cer": 51.0}}) == []
    assert telling(HIGHER, zero, {"asr": {"wer": 19.0}}) == ["asr"]
