"""What is timed together, by hand, and what is timed again."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import yaml

from secateur.config.complete import complete
from secateur.core import provenance
from secateur.reporting.table import tables
from secateur.study import commands, timing
from secateur.study.paths import Paths
from secateur.study.runs import ModelRun
from secateur.study.timing import Family, families, files, group_of, stand_ins

ROOT = Path(__file__).resolve().parents[3]
LAYERS = {
    "corpus": "c", "model": "m", "of": "encoder", "variant": None, "strategies": ["greedy", "svcca"],
    "depths": [2, 1], "trained": [1],
    "searches": ["greedy"],
}  # fmt: skip
HEADS = {
    "corpus": "c", "model": "m", "importances": ["gradient"], "policies": ["global"], "shares": [0.5],
    "recovery": {"training": "short", "rates": [], "policies": ["global"], "shares": [0.5]}, "searches": ["greedy"],
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
    amounts = [timing.amount(CONFIG, group) for group in groups[:2]]
    assert [(amount.utterances, amount.rounds) for amount in amounts] == [(20, 6), (8, 5)]


def test_a_study_plans_one_job_for_every_family_and_has_no_other_times():
    """By the files that the default study's tables wait for; a job makes both files of a family."""
    config = complete(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))
    wanted = {file for table in tables() for file in table.files(config) if file.startswith("timing/")}
    found = families(config)
    assert {file for family in found for file in (family.file, family.utterances_file)} >= wanted
    assert {str(Path(file).parent) for file in wanted} == {family.folder for family in found} and len(found) > 1
    paths = Paths(config)
    for family, members in found.items():
        command = commands.timing(paths, SimpleNamespace(corpus=family.corpus, model=family.model))
        assert command.name == "timing" and command.options["systems"].keys() == {one.run.folder for one in members}
        searches = [name for group in command.options["groups"].values() for name in group["searches"]]
        assert sorted(searches) == sorted({one.search for one in members})
        for group in command.options["groups"].values():
            assert len({timing.group_of(config["searches"][name]) for name in group["searches"]}) == 1


def test_edits_of_how_times_are_shown_time_nothing_again(tmp_path, fingerprints_of):
    """And those of how they are measured do."""
    package = tmp_path / "secateur"
    shutil.copytree(provenance.PACKAGE_ROOT / "secateur", package, ignore=shutil.ignore_patterns("__pycache__"))
    forget = fingerprints_of(tmp_path)

    def code():
        forget()
        return provenance.fingerprint(package / "scripts" / "timing.py")

    def edit(name, old, new):
        text = (package / name).read_text(encoding="utf-8")
        assert old in text
        (package / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    before = code()
    edit("overview/times.py", "RTF: real-time factor.", "RTF: the real-time factor.")
    edit("overview/reports/decodings.py", "Decoding time in seconds", "The time of decoding in seconds")
    edit("overview/systems.py", "MB: the file", "MB: a file")
    edit("reporting/times.py", "the same system timed twice", "a system that is timed twice")
    edit("heads/tables.py", "all systems take turns", "systems take turns")
    edit("layers/tables.py", "one at a time", "one after the other")
    edit("study/timing.py", 'BEAM = "quick", "beam"', 'BEAM = "quick", "slow"')
    assert code() == before
    edit("decoding/timing.py", "STALL = 1.25", "STALL = 1.5")
    assert code() != before
