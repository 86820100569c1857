"""What a study runs of layers, by hand."""

from secateur.layers import study as runs
from secateur.study.runs import ModelRun, leaves_masks, model_runs, parents, shape, steps, steps_before, training_of

ENTRY = {"corpus": "c", "model": "deep", "of": "encoder", "variant": None, "strategies": ["greedy"]}
ENTRY |= {"searches": ["greedy", "lm"]}
LATE = {"corpus": "c", "model": "plain", "scratch": "deep", "searches": ["greedy"]}
CONFIG = {
    "seeds": [1, 2],
    "corpora": {"c": {"recipe": "espeak", "languages": ["en", "fr"]}},
    "models": {
        "deep": {"type": "ctc", "training": "long", "input": "stack", "stack": 3},
        "plain": {"type": "ctc", "training": "long", "input": "stack", "stack": 3},
        "slow": {"type": "ctc", "training": "long", "input": "conv2d", "stack": 4},
    },
    "training": {"long": {"steps": 100}, "short": {"steps": 7}},
    "searches": {"greedy": {"type": "ctc_greedy"}, "lm": {"type": "beam", "lm": "x"}, "words": {"type": "lexicon"}},
    "pruning": {},
    "prune": [],
    "dense": [{"corpus": "c", "model": name, "scopes": ["all"]} for name in ("deep", "plain", "slow")],
    "layers": [
        ENTRY | {"depths": [3, 2], "trained": [2]},
        ENTRY | {"model": "plain", "variant": "both", "depths": [3], "trained": []},
        ENTRY | {"model": "slow", "depths": [1], "trained": []},
    ],
    "regularise": [
        LATE | {"variants": [{"name": "both", "training": "short"}, {"name": "control", "training": "long"}]}
    ],
    "heads": [],
    "ssl": [],
    "decode": {"splits": ["test"], "searches": ["greedy"]},
}


def test_late_models_come_from_their_dense_one():
    late = [run for run in model_runs(CONFIG) if run.method != "dense"]
    assert [run.folder for run in late] == [
        f"models/c/plain/all/late-{name}/s000/seed{seed}" for name in ("both", "control") for seed in (1, 2)
    ]
    dense = ModelRun("c", "plain", "all", 2)
    assert parents(CONFIG, late[1]).start == dense and not leaves_masks(late[1])
    assert (training_of(CONFIG, late[1]), steps(CONFIG, late[1]), steps_before(CONFIG, late[1])) == ("short", 7, 100)
    assert list(model_runs(shape(CONFIG))) == list(model_runs(CONFIG))


def test_sub_models_are_decoded_together_beside_their_model():
    folders = [decoding.folder for decoding in runs.decodings(CONFIG) if decoding.run.seed == 1]
    models = ("deep/all/dense", "plain/all/late-both", "slow/all/dense")
    assert folders == [
        f"models/c/{model}/s000/seed1/depths/{search}"
        for model in models for _ in ("en", "fr") for search in ("greedy", "lm")
    ]  # fmt: skip
    run = runs.late_run(CONFIG["layers"][1], "both", 1)
    assert runs.entries_of(CONFIG, run) == [CONFIG["layers"][1]]
    assert runs.order_file(run, "greedy") == "models/c/plain/all/late-both/s000/seed1/layers/greedy.json"
    models = {"models": {"deep": {}, "deep-depth2": {}, "deep-depth2-regularised": {}, "deep-depth1": {}}}
    assert [one.folder for one in runs.trained_runs(models, ENTRY, 2, 1)] == [
        "models/c/deep-depth2/all/dense/s000/seed1", "models/c/deep-depth2-regularised/all/dense/s000/seed1"
    ]  # fmt: skip
    assert [one.model for one in runs.trained_runs(models, ENTRY, 1, 1)] == ["deep-depth1"]


def test_layers_are_compared_where_models_have_the_same_frames():
    assert runs.comparisons(CONFIG) == [
        ("c", rate, seed) for rate, seed in (("stack3", 1), ("stack3", 2), ("conv2d", 1), ("conv2d", 2))
    ]
    names = list(runs.compared(CONFIG, "c", "stack3", 1))
    assert names == ["deep", "plain/late-both", "plain", "plain/late-control"]
    assert {run.seed for run in runs.compared(CONFIG, "c", "stack3", 2).values()} == {2}
    assert list(runs.compared(CONFIG, "c", "conv2d", 1)) == ["slow"]
