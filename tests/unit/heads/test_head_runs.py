"""What a study runs of heads, by hand."""

from secateur.heads import study as runs
from secateur.study.runs import (
    ModelRun,
    decodings,
    leaves_masks,
    model_runs,
    parents,
    shape,
    steps,
    steps_before,
    steps_of_job,
    training_of,
)

ENTRY = {
    "corpus": "c",
    "model": "m",
    "importances": ["gradient", "random"],
    "policies": ["global", "by-layer"],
    "shares": [0.5, 1.0],
    "recovery": {"training": "short", "policies": ["by-layer"], "shares": [0.5], "rates": [1e-4, 3e-4]},
    "combine": {"depth": 2, "strategy": "greedy", "policy": "global", "share": 0.25, "recovery": False},
    "searches": ["greedy"],
    "latency": {"searches": ["greedy", "beam"]},
    "lms": ["beam", "lm"],
}
CONFIG = {
    "seeds": [1, 2],
    "corpora": {"c": {"recipe": "espeak", "languages": ["en", "fr"]}},
    "models": {"m": {"training": "long"}},
    "training": {"long": {"steps": 100}, "short": {"steps": 7}},
    "searches": {"greedy": {}, "beam": {"lm": None}, "lm": {"lm": "big"}},
    "pruning": {},
    "prune": [],
    "dense": [{"corpus": "c", "model": "m", "scopes": ["all"], "searches": ["greedy", "beam", "lm"]}],
    "layers": [],
    "regularise": [],
    "heads": [ENTRY],
    "decode": {"splits": ["test"], "searches": ["greedy"]},
}
DENSE = ModelRun("c", "m", "all", 1)


def run(method: str) -> ModelRun:
    return ModelRun("c", "m", "all", 1, method)


def test_models_that_are_trained_on_come_from_their_dense_one():
    control, recovered = [one for one in model_runs(CONFIG) if one.method != "dense" and one.seed == 1]
    assert control.folder == "models/c/m/all/dense--recovered/s000/seed1" and runs.parent(control) == DENSE
    assert (steps(CONFIG, control), steps_of_job(CONFIG, control), control.whole) == (7, 14, DENSE)
    assert recovered.folder == "models/c/m/all/heads-by-layer-500--recovered/s000/seed1"
    assert parents(CONFIG, recovered).start == DENSE and not leaves_masks(recovered) and recovered.whole == DENSE
    assert (training_of(CONFIG, recovered), steps(CONFIG, recovered), steps_before(CONFIG, recovered)) == (
        "short",
        7,
        100,
    )
    assert list(model_runs(shape(CONFIG))) == list(model_runs(CONFIG))
    assert list(runs.checkpoints(shape(CONFIG))) == list(runs.checkpoints(CONFIG))
    assert [one.search for one in decodings(CONFIG) if one.run == recovered] == ["greedy", "greedy"]


def test_the_first_importance_has_all_policies():
    assert runs.systems(ENTRY) == [("gradient", "global"), ("gradient", "by-layer"), ("random", "global")]


def test_what_is_removed_is_a_chain():
    both = ["depth-greedy-2--heads-global-250", "heads-global-250--depth-greedy-2"]
    alone = ["depth-greedy-2", "heads-global-250"]
    methods = [one.method for one in runs.checkpoints(CONFIG) if one.seed == 1]
    assert methods == [*alone, *both, "heads-by-layer-500"]
    assert [(runs.parent(run(method)).method, runs.last_step(run(method))) for method in methods] == [
        ("dense", ("depth-", "greedy", 2)), ("dense", ("heads-", "global", 250)),
        ("depth-greedy-2", ("heads-", "global", 250)), ("heads-global-250", ("depth-", "greedy", 2)),
        ("dense", ("heads-", "by-layer", 500)),
    ]  # fmt: skip
    assert runs.parent(run("depth-greedy-2")) == DENSE
    assert runs.parent(run(f"{both[0]}--recovered")).method == both[0]
    folder = "models/c/m/all/heads-global-250/s000/seed1"
    assert runs.layer_order(run(both[1])) == f"{folder}/layers/greedy.json"
    again = ENTRY | {"combine": ENTRY["combine"] | {"recovery": True}}
    recovered = [one.method for one in model_runs(CONFIG | {"heads": [again], "seeds": [1]}) if one.method != "dense"]
    assert recovered == [f"{method}--recovered" for method in ("dense", "heads-by-layer-500", *alone, *both)]


def test_all_sets_are_decoded_together_and_combinations_by_themselves():
    folders = [one.folder for one in runs.decodings(CONFIG) if one.run.seed == 1]
    assert folders == ["models/c/m/all/dense/s000/seed1/heads/decode/greedy"] * 2
    assert len([one for one in runs.combined_decodings(CONFIG) if one.run.seed == 1]) == 4 * 2


def test_what_takes_turns():
    timed = runs.timed(ENTRY, DENSE)
    assert next(iter(timed)) == "dense greedy"
    assert {name: (one.method, search, sets) for name, (one, search, sets) in timed.items()} == {
        "dense greedy": ("dense", "greedy", True), "dense beam": ("dense", "beam", True),
        "dense lm": ("dense", "lm", False),
        **{f"{method} greedy": (method, "greedy", False) for method in (
            "depth-greedy-2", "heads-global-250", "depth-greedy-2--heads-global-250", "heads-global-250--depth-greedy-2"
        )},
    }  # fmt: skip
    assert runs.perplexities(CONFIG) == [("c", "big", 1), ("c", "big", 2)]
