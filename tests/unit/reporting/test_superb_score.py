"""The SUPERB score by hand, and on the figures of S4's table 1."""

import numpy as np
import pytest

from secateur.core.errors import SecateurError
from secateur.reporting import published
from secateur.ssl.scales import (
    OWN,
    Scale,
    better,
    beyond_chance,
    by_task,
    difference,
    scale_of,
    score_error,
    scored,
    superb_scale,
)
from secateur.ssl.score import superb_score, task_score

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


def measure(value, higher=True, noise=0.0):
    """A metric with draws that spread by `noise` around a spread of its items, which is the same for all upstreams."""
    shared = np.random.default_rng(0).normal(0, 10, 1000)
    own = np.random.default_rng(round(value)).normal(0, noise, 1000)
    facts = {"higher_is_better": higher, "scored": True, "units": [300]}
    return {"value": value, **facts, "heads": [value], "draws": (value + shared + own).tolist()}


def test_a_study_is_on_superbs_scale_only_with_all_its_tasks_on_its_data():
    official = {task: {"source": "official"} for task in superb_scale().tasks}
    zero, teacher = ({"ks": {"metrics": {"acc": measure(value)}}} for value in (40.0, 60.0))
    assert scale_of(official, [zero], teacher) == superb_scale()
    for options in (official | {"ks": {"source": "directories"}}, {"ks": {"source": "official"}}):
        own = scale_of(options, [zero, zero], teacher)
        assert (own.name, own.tasks) == (OWN, ("ks",)) and own.score({"ks": {"acc": 50.0}}) == 500.0
    assert scale_of({}, [teacher], zero).tasks == ()


def test_what_cannot_be_scored_is_named():
    with pytest.raises(SecateurError, match="ks \\(acc\\) was not run"):
        superb_score({"ks": {"acc": 1.0}}, {}, {"ks": {"acc": 1.0}})
    with pytest.raises(SecateurError, match=r"both 1.0 in ks"):
        superb_score({"ks": {"acc": 2.0}}, {"ks": {"acc": 1.0}}, {"ks": {"acc": 1.0}})
    with pytest.raises(SecateurError, match="ic was not run"):
        superb_scale().score({"ks": {"acc": 50.0}})
    with pytest.raises(SecateurError, match="no task"):
        superb_score({}, {}, {})


def test_a_task_counts_only_where_the_reference_is_better_beyond_chance_in_all_metrics():
    """Items spread by 10 points, which the pairing takes out; what is left spreads by √2 times `noise`."""

    def task(f1, cer, noise):
        return {"metrics": {"f1": measure(f1, True, noise), "cer": measure(cer, False, noise)}}

    zero = task(60.0, 50.0, 0.1)
    assert beyond_chance(task(61.0, 49.0, 0.1), zero)
    assert not beyond_chance(task(61.0, 51.0, 0.1), zero)
    assert not beyond_chance(task(61.0, 49.0, 5.0), zero)
    assert not beyond_chance(zero, task(61.0, 49.0, 0.1))
    shown = task(61.0, 49.0, 0.1)
    shown["metrics"]["f1"]["scored"] = shown["metrics"]["cer"]["scored"] = False
    assert not beyond_chance(shown, zero)
    found = difference(measure(63.0, noise=1.0), measure(60.0, noise=1.0))
    assert found.value == 3.0 and found.high - found.low == pytest.approx(2 * 1.97 * 2**0.5, rel=0.1)
    with pytest.raises(SecateurError, match="tested on different items"):
        difference(measure(63.0), measure(60.0) | {"units": [299]})


def test_the_error_of_a_score_by_hand_and_of_two_encoders_on_the_same_items():
    """Of 20 points to 1000 in KS and of 40 in IC, half of the score each: an interval of ± 4 is ± 100 and ± 50."""
    scale = Scale(
        OWN, {"ks": {"acc": 40.0}, "ic": {"acc": 50.0}}, {"ks": {"acc": 60.0}, "ic": {"acc": 90.0}}, ("ks", "ic")
    )

    def tasks(ks, ic, noise=0.0):
        return {
            name: {"metrics": {"acc": measure(value, noise=noise) | {"low": value - 4, "high": value + 4}}}
            for name, value in (("ks", ks), ("ic", ic))
        }

    assert 1.96 * score_error(scale, tasks(50.0, 60.0)) == pytest.approx((100**2 + 50**2) ** 0.5)
    # What the items have in common counts for neither; what is left spreads by √2 times `noise` in each task.
    assert score_error(scale, tasks(50.0, 60.0), tasks(45.0, 55.0)) == pytest.approx(0, abs=1e-6)
    apart = score_error(scale, tasks(50.0, 60.0, 1.0), tasks(45.0, 55.0, 1.0))
    assert apart == pytest.approx(2**0.5 * (25**2 + 12.5**2) ** 0.5, rel=0.05)
    unscored = tasks(50.0, 60.0)
    unscored["ks"]["metrics"]["cer"] = measure(30.0) | {"low": 0.0, "high": 99.0, "scored": False}
    assert score_error(scale, unscored) == score_error(scale, tasks(50.0, 60.0))


def test_the_zero_of_a_task_is_the_better_of_the_log_mel_features():
    plain = {"ks": {"metrics": {"acc": measure(40.0)}}, "pr": {"metrics": {"per": measure(55.0, False)}}}
    normalised = {"ks": {"metrics": {"acc": measure(30.0)}}, "pr": {"metrics": {"per": measure(50.0, False)}}}
    teacher = {"ks": {"metrics": {"acc": measure(50.0)}}, "pr": {"metrics": {"per": measure(52.0, False)}}}
    assert better("ks", [plain, normalised]) is plain["ks"] and better("pr", [plain, normalised]) is normalised["pr"]
    scale = scale_of({}, [plain, normalised], teacher)
    assert scale.tasks == ("ks",) and scale.zero["pr"] == {"per": 50.0}
    assert scale_of({}, [plain], teacher).tasks == ("ks", "pr")
