"""What a study runs of self-supervised encoders, and where it goes."""

import pytest

from secateur.ssl import study as upstreams
from secateur.ssl.reports import encoders
from secateur.ssl.study import UpstreamRun

STUDENTS = [
    {"name": "pruned", "type": "gates", "training": "long"},
    {"name": "short", "type": "layers", "training": "brief"},
]
PRETRAINED = {
    "name": "small",
    "corpus": "voices",
    "folder": None,
    "pretraining": {"iterations": [{"training": "first"}, {"training": "second"}]},
    "students": STUDENTS,
    "speed": {"base": 10},
}
GIVEN = PRETRAINED | {"name": "given", "folder": "/models/wavlm-base", "pretraining": None, "speed": {"base": None}}
CONFIG = {
    "seeds": [1, 2],
    "ssl": [PRETRAINED, GIVEN],
    "training": {name: {"steps": steps} for name, steps in (("first", 7), ("second", 20), ("long", 100), ("brief", 3))},
}


def test_log_mel_features_the_teacher_and_every_student_are_scored():
    runs = [(run.name, run.model, run.seed) for _, run in upstreams.runs(CONFIG)]
    models = ("fbank", "fbank-cmvn", "random", "teacher", "pruned", "short")
    assert runs == [(name, model, seed) for name in ("small", "given") for model in models for seed in (1, 2)]
    assert UpstreamRun("small", "pruned", 2).scores == "upstreams/small/pruned/seed2/superb/scores.json"


def test_the_teacher_is_the_last_iteration_or_the_users_folder():
    assert upstreams.teacher_folder(PRETRAINED, 1, "results/x") == "results/x/upstreams/small/iteration2/seed1"
    assert upstreams.teacher_folder(GIVEN, 1, "results/x") == "/models/wavlm-base"


def test_parts_have_trainings_and_urgency():
    parts = ("iteration1", "iteration2", "pruned", "short")
    assert [upstreams.training_of(PRETRAINED, part) for part in parts] == ["first", "second", "long", "brief"]
    again = PRETRAINED | {"pretraining": {"iterations": [{"training": "first"}, {"training": "second", "again": True}]}}
    assert [upstreams.total_steps(CONFIG, PRETRAINED, part) for part in parts] == [7, 20, 120, 23]
    assert [upstreams.total_steps(CONFIG, again, part) for part in parts] == [7, 27, 127, 30]
    assert upstreams.total_steps(CONFIG, GIVEN, "pruned") == 100
    slow = GIVEN | {"students": [STUDENTS[1] | {"depths": [5, 4], "second": "first"}]}
    assert upstreams.total_steps(CONFIG, slow, "short") == 3 * 3 + 7
    assert [recipe["steps"] for recipe in upstreams.own_trainings(CONFIG, slow, "short")] == [3, 3, 3, 7]
    # An iteration begins a chain that ends with the longest student.
    assert [upstreams.steps_to_come(CONFIG, PRETRAINED, part) for part in parts] == [127, 120, 100, 3]


def test_the_tables_read_what_the_rules_make():
    config = CONFIG | {"seeds": [1]}
    gates, speeds = list(encoders.gates(config)), list(encoders.speeds(config))
    assert len(gates) == len(set(gates)) and len(speeds) == len(set(speeds))
    assert "upstreams/small/pruned/seed1/gates.tsv" in gates and "upstreams/small/short/seed1/gates.tsv" not in gates
    assert {"upstreams/small/speed/seed1/own.json", "upstreams/small/speed/seed1/base.json"} <= set(speeds)
    assert "upstreams/given/speed/seed1/base.json" not in speeds
    trained = [run.folder for _, run in upstreams.trained(config)]
    assert "upstreams/small/iteration1/seed1" in trained and "upstreams/given/iteration1/seed1" not in trained


@pytest.mark.parametrize(("encoder", "hop"), [({}, 320), ({"conv_stride": [10, 4, 2, 2]}, 160)])
def test_samples_between_frames(encoder, hop):
    assert upstreams.hop(encoder) == hop
