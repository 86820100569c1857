"""Commands of rules: how options become words, and what jobs read, by hand."""

import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from secateur.config.complete import complete
from secateur.heads import commands as heads
from secateur.layers import commands as layers
from secateur.overview import commands as overview
from secateur.overview.resources import FIRST, JobResources
from secateur.pruning import commands as pruning
from secateur.study import commands, runs
from secateur.study.command import Command
from secateur.study.paths import Paths
from secateur.watch.expected import expected
from secateur.watch.work import OTHER, TRAINING

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def paths():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["training"]["retrain"] |= {"steps": 150, "evaluate_every": 75}  # tests count with these
    return Paths(complete(config))


def at(**axes):
    model = {"corpus": "asterisk", "model": "ctc", "scope": "all", "method": "dense", "level": "s000", "seed": "1"}
    return SimpleNamespace(**model | axes)


def option(command, name):
    words = shlex.split(command.arguments)
    return words[words.index(f"--{name}") + 1]


def test_options_become_one_string_with_the_codes_fingerprint():
    options = {"flag": True, "no_flag": False, "nothing": None, "two_words": ["a b", 3], "mapping": {"b": 1, "a": [2]}}
    words = shlex.split(Command("score", options).arguments)
    assert words[:-1] == ["--flag", "--two-words", "a b", "3", "--mapping", '{"a": [2], "b": 1}', "--code"]
    assert words[-1] != shlex.split(Command("score", options, modules=("secateur.models.ctc",)).arguments)[-1]


def test_a_training_reads_the_data_of_its_languages(paths):
    command = commands.train(paths, at(scope="fr", model="ctc-small"))
    assert "results/default/features/asterisk/fr/train/feats.ark" in command.inputs
    assert "results/default/validation/asterisk.tsv" in command.inputs
    assert not [file for file in command.inputs if "/en/" in file]
    assert json.loads(option(command, "model"))["features"] == 80
    assert command.modules == ("secateur.models.ctc",)


def test_a_training_reads_the_model_that_it_starts_from(paths):
    models = paths.config["models"]
    own, small = {key: value for key, value in models["ctc"].items() if key != "own"}, models["ctc-small"]
    hybrid = own | {"type": "hybrid", "training": "retrain", "start": "ctc"}
    chain = {"hybrid": hybrid, "ctc-small": small | {"start": "hybrid"}}
    started = Paths(paths.config | {"models": models | chain})
    command = commands.train(started, at(scope="fr", model="ctc-small"))
    folder = "results/default/models/asterisk/hybrid/fr/dense/s000/seed1"
    assert {f"{folder}/model.safetensors", f"{folder}/model.json"} <= set(command.inputs)
    assert option(command, "start") == folder
    zoo = models["ctc"]["own"]["steps"]  # hybrid begins as that
    assert zoo == 16000 and option(command, "before") == str(zoo + paths.config["training"]["retrain"]["steps"])
    assert "start" not in json.loads(option(command, "model"))
    assert "--start" not in commands.train(paths, at(scope="fr", model="ctc-small")).arguments


def test_a_search_brings_its_language_model_or_its_words(paths):
    where = {"split": "test"}
    with_lm = commands.decode(paths, at(search="beam-lm", **where))
    assert "results/default/lm/asterisk/char-lm/seed1/model.safetensors" in with_lm.inputs
    searched = "secateur.decoding.search.beam"
    modules = ("secateur.models.ctc", searched, "secateur.models.transformer_lm")
    assert with_lm.modules == (*modules, "secateur.scripts.score")
    # What is kept depends on all code but that which counts errors.
    assert option(with_lm, "keep") == Command("decode", {}, modules=modules).code != with_lm.code
    lexicon = commands.decode(paths, at(search="lexicon", **where))
    assert "results/default/data/asterisk/en/train/text" in lexicon.inputs and "--train-text" in lexicon.arguments
    greedy = commands.decode(paths, at(search="greedy", **where))
    assert not {"--lm", "--train-text"} & set(shlex.split(greedy.arguments))
    assert (
        option(greedy, "languages") == "en" and "results/default/features/asterisk/fr/test/feats.ark" in greedy.inputs
    )
    french = commands.decode(paths, at(search="greedy", scope="fr", **where))
    assert option(french, "languages") == "fr" and not [file for file in french.inputs if "/en/" in file]


@pytest.mark.parametrize(("method", "level"), [("lap", "s700"), ("pathways-lth-s700", "s700")])
def test_a_pruned_model_is_decoded_under_the_masks_that_it_lists(paths, method, level):
    command = commands.decode(paths, at(method=method, level=level, split="test", search="greedy"))
    assert f"results/default/models/asterisk/ctc/all/{method}/{level}/seed1/masks" in command.inputs
    dense_control = at(method="longer", level="s000", split="test", search="greedy")
    assert not [file for file in commands.decode(paths, dense_control).inputs if file.endswith("/masks")]


def test_only_svcca_orders_layers_by_their_similarity(paths):
    file = "results/default/models/asterisk/ctc/all/dense/s000/seed1/layers/similarity.tsv"
    assert file in layers.search(paths, at(strategy="svcca")).inputs
    assert file not in layers.search(paths, at(strategy="greedy")).inputs


def test_only_the_latency_aware_policy_needs_times(paths):
    times = "results/default/models/asterisk/ctc/all/dense/s000/seed1/heads/times.json"
    assert times in heads.prune(paths, at(method="heads-latency-aware-500")).inputs
    assert times not in heads.prune(paths, at(method="heads-global-500")).inputs


def test_timings_name_the_modules_of_the_searches_that_they_time(paths):
    command = commands.timing(paths, at())
    types = {entry["type"] for entry in json.loads(option(command, "searches")).values()}
    used = {name for name in command.modules if name.startswith("secateur.decoding.")}
    assert types and used == {f"secateur.decoding.search.{name}" for name in types}


def told(paths, scope, method, level, **schedule):
    """The training that a pruned model's job is told, and its command, with changes of the schedule."""
    known = paths.config["pruning"]["progressive"]
    changed = Paths(paths.config | {"pruning": {"progressive": known | schedule}})
    command = pruning.prune(changed, at(scope=scope, method=method, level=level))
    return json.loads(option(command, "training")), command


def test_a_rate_is_constant_until_the_masks_of_the_last_level_are_fixed(paths):
    """T = 150: a level on the way does not settle, nor does its rate go down; fixed masks are told the same rates."""
    for method in ("lth", "lth-adaptive"):
        on_the_way, _ = told(paths, "en", method, "s500")
        assert (on_the_way["steps"], on_the_way["schedule"], on_the_way["cycles"]) == (150, "constant", 1)
        last, command = told(paths, "en", method, "s700")
        assert (last["steps"], last["schedule"], last["decay"], last["warmup"]) == (150, "wsd", 0.4, 10)
    assert option(command, "settle") == "0.4"
    assert option(told(paths, "en", "lth-adaptive", "s500")[1], "settle") == "0.0"
    assert told(paths, "en", "lth", "s700", settle=0)[0]["schedule"] == "constant"


def test_two_languages_have_twice_the_steps_in_two_levels(paths):
    for method in ("pathways-lth-s700", "dynamic-lth-s500"):
        training, command = told(paths, "all", method, "s700")
        assert [training[key] for key in ("steps", "cycles", "warmup", "evaluate_every")] == [600, 2, 20, 150]
    words = shlex.split(command.arguments)
    assert words[words.index("--levels") + 1 :][:2] == ["0.5", "0.7"]
    assert told(paths, "all", "lap", "s500")[0]["steps"] == 300
    assert told(paths, "all", "dynamic-lth-s500", "s700", steps_per="all")[0]["steps"] == 300


def test_what_learns_from_the_dense_model_reads_it(paths):
    dense = "results/default/models/asterisk/ctc/all/dense/s000/seed1"
    _, command = told(paths, "en", "imp", "s700", distil=0.5)
    assert (option(command, "teacher"), option(command, "distil")) == (dense, "0.5")
    assert {f"{dense}/model.safetensors", f"{dense}/model.json"} <= set(command.inputs)
    _, alone = told(paths, "en", "imp", "s700")
    assert "--teacher" not in alone.arguments and f"{dense}/model.safetensors" not in alone.inputs
    _, untrained = told(paths, "en", "wanda", "s700", distil=0.5)
    assert "--teacher" not in untrained.arguments and option(untrained, "calibration") == "32"
    assert (option(untrained, "start"), option(untrained, "ranked")) == (dense, dense)


def test_the_work_of_what_is_pruned_without_training_is_none_of_steps(paths):
    resources = JobResources(paths, 0, 2)
    trained, at_once = (
        expected(resources, "prune", at(scope="en", method=method, level="s700")) for method in ("lth", "wanda")
    )
    assert (trained.kind, trained.amount) == (TRAINING, 150)
    assert (at_once.kind, at_once.amount) == (OTHER, 1) and at_once.seconds > 0


def test_the_work_of_models_that_are_there_is_not_nothing(paths):
    resources = JobResources(paths, 0, 2)
    assert resources.urgency(SimpleNamespace(lm="char-lm")) == FIRST
    lm = expected(resources, "import_lm", SimpleNamespace(lm="char-lm"))
    for work in (lm, expected(resources, "import_model", at())):
        assert (work.kind, work.amount) == (OTHER, 1) and work.seconds > 0


def test_the_work_of_an_encoder_from_a_folder_is_that_of_its_size(paths):
    resources, wildcards = (
        JobResources(paths, 0, 2),
        SimpleNamespace(upstream="ssl-small", student="distilled", seed="1"),
    )
    batch = resources.training_of(wildcards)["batch_seconds"]
    six_layers = 6 * (2 * 128 * 512 + 4 * 128**2)  # of pretrained/ssl-small
    found = expected(resources, "ssl_distill", wildcards)
    assert found.seconds == pytest.approx(3 * (0.02 + 1e-8 * six_layers * batch))
    second = paths.config["training"]["distil-again"]["steps"]
    assert found.amount == resources.training_of(wildcards)["steps"] + second
    entry = paths.config["ssl"][0]
    entry["speed"] = entry["speed"] | {"seconds": 60, "runs": 6, "base": 10}
    own, base = (
        expected(resources, "ssl_speed", SimpleNamespace(upstream="ssl-small", seed="1", size=size))
        for size in ("own", "base")
    )
    systems = 2 + len(entry["students"])
    assert own.seconds == pytest.approx(5e-9 * six_layers * 60 * 6 * systems)
    assert base.seconds == pytest.approx(5e-9 * 8.5e7 * 10 * 6 * systems)
    entry["speed"] = entry["speed"] | {"seconds": None}  # all of the dev sets
    assert expected(resources, "ssl_speed", SimpleNamespace(upstream="ssl-small", seed="1", size="own")).seconds > 0


def test_the_wording_of_the_report_makes_the_page_again_and_no_table(paths):
    other = Paths(paths.config | {"report": paths.config["report"] | {"title": "Another"}})
    assert overview.tables(other).arguments == overview.tables(paths).arguments
    assert overview.figures(other).arguments == overview.figures(paths).arguments
    assert "Another" in overview.page(other).arguments and overview.page(other).code == overview.page(paths).code
    fewer = Paths(paths.config | {"seeds": [7]})
    assert overview.tables(fewer).arguments != overview.tables(paths).arguments


def test_sizes_are_of_models_sub_models_language_models_and_lexicons(paths):
    command = overview.sizes(paths)
    assert {option for option in command.options if command.options[option]} >= {"study", "layers", "lexicons", "lms"}
    assert "results/default/lm/asterisk/char-lm/seed1/model.safetensors" in command.inputs


def test_what_enumerates_a_study_s_models_counts_the_modules_that_it_finds_by_name(paths):
    for command in (overview.sizes(paths), commands.compared_masks(paths)):
        assert {*runs.KINDS} <= {*command.modules}
