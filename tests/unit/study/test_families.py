"""What is timed together, by hand."""

from secateur.study import timing
from secateur.study.runs import ModelRun
from secateur.study.timing import Family, families, files, group_of, stand_ins

LAYERS = {
    "corpus": "c", "model": "m", "variant": None, "strategies": ["greedy", "svcca"], "depths": [2, 1], "trained": [1],
    "searches": ["greedy"],
}  # fmt: skip
HEADS = {
    "corpus": "c", "model": "m", "importances": ["gradient"], "policies": ["global"], "shares": [0.5],
    "recovery": {"training": "short", "policies": ["global"], "shares": [0.5]}, "searches": ["greedy"],
    "combine": {"depth": 2, "strategy": "greedy", "policy": "global", "share": 0.5, "recovery": False},
    "latency": {"searches": ["greedy"]}, "lms": ["beam", "lm"],
}  # fmt: skip
PRUNE = {
    "corpus": "c", "model": "m", "variant": None, "reference": "m", "schedule": "short", "searches": ["greedy"],
    "methods": ["lap"], "pathways": [],
}  # fmt: skip
CONFIG = {
    "seeds": [1, 2],
    "corpora": {"c": {"recipe": "espeak", "languages": ["en", "fr"]}},
    "models": {name: {"training": "long"} for name in ("m", "m-depth1", "small")},
    "training": {"long": {"steps": 100}, "short": {"steps": 7}},
    "searches": {"greedy": {"type": "ctc_greedy"}, "beam": {"beam": 3}, "lm": {"beam": 3, "lm": "big"}},
    "pruning": {"short": {"levels": [0.7], "training": "short"}},
    "prune": [PRUNE],
    "dense": [
        {"corpus": "c", "model": "small", "scopes": ["each"], "searches": ["greedy"]},
        {"corpus": "c", "model": "m", "scopes": ["each", "all"], "searches": ["greedy", "beam", "lm"]},
        {"corpus": "c", "model": "m-depth1", "scopes": ["all"], "searches": ["greedy"]},
    ],
    "layers": [LAYERS],
    "regularise": [],
    "heads": [HEADS],
    "decode": {"splits": ["test"], "searches": ["greedy"]},
    "timing": {"utterances": 20, "rounds": 6, "beam": {"utterances": 8, "rounds": 5}},
}
FOLDER = "models/c/m/all/dense/s000/seed1"


def run(model="m", scope="all", seed=1, method="dense", **facts):
    return ModelRun("c", model, scope, seed, method, **facts)


def test_a_family_is_an_architecture_with_all_that_computes_differently():
    """The dense model first; its depths on the first seed; sets of heads of every seed, which differ; no masks."""
    found = families(CONFIG)
    assert list(found) == [Family("c", "small"), Family("c", "m")]
    names = [
        (one.run.model, one.run.method, one.run.scope, one.run.seed, one.search) for one in found[Family("c", "m")]
    ]
    smaller = ["depth-greedy-2", "heads-global-500", "depth-greedy-2--heads-global-500"]
    smaller.append("heads-global-500--depth-greedy-2")
    assert names == [
        *(("m", "dense", "all", 1, search) for search in ("greedy", "beam", "lm")),
        *(("m", "dense", "all", 2, search) for search in ("greedy", "beam", "lm")),
        ("m-depth1", "dense", "all", 1, "greedy"),
        *(("m", method, "all", seed, "greedy") for seed in (1, 2) for method in smaller),
    ]  # fmt: skip
    first = found[Family("c", "m")][0]
    assert (first.heads, first.layers, first.depths) == (
        f"{FOLDER}/heads/removals.json", f"{FOLDER}/layers/greedy.json", (2, 1)
    )  # fmt: skip
    with_sets = [(one.run.seed, one.search, one.depths) for one in found[Family("c", "m")] if one.heads]
    assert with_sets == [(1, "greedy", (2, 1)), (2, "greedy", ())]
    # Monolingual models have one shape: the first language's stands for all.
    assert [(one.run.scope, one.run.seed) for one in found[Family("c", "small")]] == [("en", 1)]


def test_a_further_model_or_depth_is_timed_by_its_family_alone():
    def changed(**sections):
        return {name for name, members in families(CONFIG | sections).items() if families(CONFIG).get(name) != members}

    deeper = [LAYERS | {"depths": [3, 2, 1]}]
    assert changed(layers=deeper) == {Family("c", "m")}
    other = {"corpus": "c", "model": "other", "scopes": ["all"], "searches": ["greedy"]}
    assert changed(dense=[*CONFIG["dense"], other]) == {Family("c", "other")}
    assert changed(prune=[PRUNE | {"methods": ["lap", "imp"]}]) == set()


def test_what_computes_the_same_takes_a_time_over():
    """Masks and another seed: of the dense model of the first seed; without heads: of another seed at most."""
    dense = run()
    masked = run(method="lap", seed=2, sparsity=0.7)
    assert list(stand_ins(CONFIG, masked)) == [masked, run(method="lap", sparsity=0.7), dense]
    assert list(stand_ins(CONFIG, run(scope="fr")))[-1] == dense
    headless = run(method="heads-global-500", seed=2)
    assert list(stand_ins(CONFIG, headless)) == [headless, run(method="heads-global-500")]
    assert timing.family_of(CONFIG, run("m-depth1", seed=2)) == Family("c", "m")
    assert files(CONFIG, [masked, run("m-depth1")]) == ["timing/c/m/timing.tsv"]
    assert files(CONFIG, [dense], utterances=True) == ["timing/c/m/timing.tsv", "timing/c/m/utterances.tsv"]


def test_searches_with_a_beam_are_timed_by_themselves_and_less():
    groups = [group_of(search) for search in CONFIG["searches"].values()]
    assert groups == ["quick", "beam", "beam"]
    assert [timing.amount(CONFIG, group) for group in groups[:2]] == [
        {"utterances": 20, "rounds": 6}, {"utterances": 8, "rounds": 5}
    ]  # fmt: skip
