"""A plug-in of every kind is one file: what it takes part in when the file is there, in a copy of the tree."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from clones import Clone

SHAPE = """SCHEMA = {
    "training": {"$ref": "#/$defs/acoustic/training"},
    "input": {"$ref": "#/$defs/acoustic/input", "default": "stack"},
    "stack": {"$ref": "#/$defs/acoustic/stack", "default": 4},
    "encoder": {"$ref": "#/$defs/acoustic/encoder"},
    "stretch": {"type": "number", "default": 2.5, "description": "Not used."},
}
"""
TOYS = {
    "speech/corpora/toy_corpus.py": '''"""Tones."""

from pathlib import Path

from secateur.core.files import write_json
from secateur.speech.corpora import Prepared, fetched_record
from secateur.speech.datadir import Utterance

SCHEMA = {"tones": {"type": "integer", "minimum": 1, "default": 2, "description": "Of each split."}}
SPLITS = ("train", "dev", "test")
FETCH_OPTIONS = ("tones",)


def fetch(options, language, cache):
    write_json(fetched_record(cache, language), {"tones": options["tones"]})


def prepare(options, language, cache):
    import numpy as np
    import soundfile

    splits = {}
    for place, split in enumerate(SPLITS):
        splits[split] = []
        for number in range(options["tones"]):
            name = f"{language}-{split}-{number}"
            path = (Path(cache) / f"{name}.wav").resolve()
            tone = np.sin(np.arange(16000) * (0.1 + 0.01 * (place * options["tones"] + number)))
            soundfile.write(path, 0.5 * tone, 16000)
            splits[split].append(Utterance(name, str(path), "beep", "toy", language, 1.0))
    source = {"name": "Tones", "description": "Tones.", "licence": "none", "credits": "none", "synthetic": True}
    return Prepared(splits, source=source)
''',
    "models/toy_model.py": f'''"""CTC under another name."""

from secateur.models import ctc

{SHAPE}

def build(config, tokens):
    return ctc.build(config | {{"intermediate_ctc": {{"layers": [], "weight": 0.0}}, "stochastic_depth": 0.0}}, tokens)
''',
    "layers/strategies/toy_strategy.py": '''"""The first ones."""

from secateur.layers.strategies import Found


def order(given):
    return Found(sorted(given.layers)[:-1])
''',
    "heads/policies/toy_policy.py": '''"""The most important first."""


def order(given):
    return list(reversed(given.ascending))
''',
    "ssl/tasks/toy_task.py": '''"""Count letters."""

from secateur.ssl.tasks import Data, Item, Metric, Result, Task
from secateur.ssl.tasks.clips import whole
from secateur.ssl.tasks.metrics import rate

SCHEMA = {"languages": {"$ref": "#/$defs/languages", "default": None}}
TASK = Task("toy_task", "counting", (Metric("acc", higher=True),))


def from_directories(corpus, options):
    chosen = [corpus[language] for language in options["languages"]]
    names = ("train", "dev", "test")
    return Data({name: [Item(whole(one), one.text) for splits in chosen for one in splits[name]] for name in names})


def run(data, hidden, fit, options):
    return Result({"acc": rate([len(data.items["test"])], [100])})
''',
    "decoding/search/toy_search.py": '''"""The same word for all."""

from secateur.decoding.recognize import Result
from secateur.decoding.search import Search

SCHEMA = {"word": {"type": "string", "default": "beep", "description": "What it says."}}
READS = ("tokens",)
SHOWN = {"lm": "only {word}"}


def prepare(recognizer, word):
    return lambda features: {name: Result(word, 0.0, 0.0) for name in features}


SEARCH = Search(prepare)
''',
    "overview/reports/toy.py": '''"""A table of toys with a figure."""

from secateur.reporting.figure import Figure
from secateur.reporting.table import Table

COLUMNS = ("name", "source")


def files(config):
    return ["data/toy/en/source.json"]


def rows(results):
    for file in files(results.config):
        yield {"name": results.json(file)["name"], "source": file}


def view(tables):
    return []


def draw(tables):
    import matplotlib.pyplot as plt

    drawn, ax = plt.subplots()
    ax.bar([row["name"] for row in tables["toys"]], [1])
    return drawn


TABLES = (Table("toys", "Toys", "Toys.", "size", f"{__name__}:COLUMNS", f"{__name__}:rows", files, f"{__name__}:view"),)
FIGURES = (Figure("toys", "Toys", "Toys.", "size", f"{__name__}:draw", ("toys",)),)
''',
}
"""A toy of each kind, by its path in the package."""
UNCHANGED = ("features", "train", "train_lm", "prune", "ssl_pretrain", "layer_search", "decode", "similarity", "score")
"""Rules whose jobs stay as they were when toys join a study, for what the study had."""


def toy_study(study: dict) -> dict:
    """The smoke study with a toy of each kind."""
    encoder = {"type": "transformer", "layers": 2, "dim": 32, "heads": 2, "ffn": 64}
    study["corpora"]["toy"] = {"recipe": "toy_corpus", "languages": ["en"]}
    study["models"]["toy"] = {"type": "toy_model", "training": "acoustic", "encoder": encoder}
    study["searches"]["toy"] = {"type": "toy_search"}
    study["dense"].append({"corpus": "toy", "model": "toy", "scopes": ["all"], "searches": ["toy"]})
    study["ssl"][0]["tasks"]["toy_task"] = {}
    study["layers"][0]["strategies"].append("toy-strategy")
    study["heads"][0]["policies"].append("toy-policy")
    study["heads"][0]["combine"] = {"depth": 1, "strategy": "toy-strategy", "policy": "toy-policy"}
    return study


def run(clone: Clone, *words: str) -> str:
    """What a command says in the clone."""
    answer = subprocess.run(
        [sys.executable, *words], cwd=clone.folder, env=clone.environment, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def jobs(clone: Clone, file: Path) -> dict[tuple[str, str], str]:
    """The commands of a study's jobs, with the fingerprints of code, by rule and first output."""
    said = run(clone, "-m", "snakemake", "-n", "-p", "--cores", "2", "--quiet", "host", "--configfile", str(file))
    found = {}
    for job in re.split(r"^\[.*\]\n(?:local)?rule ", said, flags=re.MULTILINE)[1:]:
        output = re.search(r"^ {4}output: ([^,\n]*)", job, re.MULTILINE)
        command = re.search(r"^Shell command: .*$", job, re.MULTILINE)
        found[job.partition(":")[0], output[1] if output else ""] = command[0] if command else ""
    return found


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> tuple[Clone, Path, dict]:
    """A copy of the tree under git, the study with toys, and the jobs of the smoke study without them."""
    clone = Clone.make(tmp_path_factory.mktemp("plugins"))
    clone.commit()
    smoke = clone.folder / "workflow/studies/smoke.yaml"
    file = tmp_path_factory.mktemp("study") / "toys.yaml"
    file.write_text(yaml.safe_dump(toy_study(yaml.safe_load(smoke.read_text()))))
    return clone, file, jobs(clone, smoke)


@pytest.fixture(scope="module")
def clone(before) -> Clone:
    """The copy with the toys in it."""
    for name, text in TOYS.items():
        (before[0].folder / "src/secateur" / name).write_text(text)
    return before[0]


@pytest.fixture(scope="module")
def after(before, clone) -> dict:
    """The jobs of the study with toys."""
    return jobs(clone, before[1])


def test_the_study_has_the_jobs_of_every_toy(after):
    def count(rule: str, text: str) -> int:
        return sum(name == rule and text in output + command for (name, output), command in after.items())

    assert count("prepare_toy", '"tones": 2') == 1
    assert count("train", '"type": "toy_model"') == 1 and count("train", '"stretch": 2.5') == 1
    assert count("layer_search", "--strategy toy-strategy") == 2
    assert count("head_removals", "gradient/toy-policy") == 1
    assert count("prune_heads", "--policy toy-policy") == 2 and count("export_depth", "depth-toy-strategy-1/") == 2
    assert count("superb", '"toy_task": {') == 6
    assert count("decode", '"word": "beep"') == 1
    decoding = next(text for text in after.values() if '"toy_search"' in text and "secateur decode" in text)
    assert "--tokens" in decoding and "--train-text" not in decoding


def test_nothing_else_of_the_study_runs_again(before, after):
    jobs = {job: command for job, command in before[2].items() if job[0] in UNCHANGED and job in after}
    assert len(jobs) > 50 and all("--code" in command for command in jobs.values())
    assert {job for job, command in jobs.items() if after[job] != command} == set()


def test_nothing_else_had_to_change(clone, after):
    changed = clone.git("status", "--porcelain", "--untracked-files=all").splitlines()
    assert sorted(changed) == sorted(f"?? src/secateur/{name}" for name in TOYS)


WRONG = """
import json, sys, yaml
from snakemake.utils import update_config
from secateur.core.errors import SecateurError
from secateur.config.complete import complete

def problem(change):
    study = yaml.safe_load(open("config.yaml"))
    update_config(study, yaml.safe_load(open(sys.argv[1])))
    change(study)
    try:
        complete(study)
    except SecateurError as error:
        return str(error)

found = {
    "none": problem(lambda study: None),
    "corpus": problem(lambda study: study["corpora"]["toy"].update(recipe="toy_corpse")),
    "model": problem(lambda study: study["models"]["toy"].update(type="toy_modl")),
    "search": problem(lambda study: study["searches"]["toy"].update(type="toy_serch")),
    "strategy": problem(lambda study: study["layers"][0].update(strategies=["toy-stratgy"])),
    "policy": problem(lambda study: study["heads"][0].update(policies=["toy-polic"])),
    "task": problem(lambda study: study["ssl"][0]["tasks"].update(toy_tsk={})),
    "option": problem(lambda study: study["searches"]["toy"].update(wrd="x")),
}
print(json.dumps([found, sorted({"torch", "numpy", "matplotlib"} & sys.modules.keys())]))
"""


def test_the_schema_accepts_them_and_errors_list_them(before, clone):
    found, heavy = json.loads(run(clone, "-c", WRONG, str(before[1])).splitlines()[-1])
    assert found.pop("none") is None and heavy == []
    names = {
        "corpus": "toy_corpus", "model": "toy_model", "search": "toy_search", "strategy": "toy-strategy",
        "policy": "toy-policy", "task": "toy_task", "option": "word",
    }  # fmt: skip
    for kind, name in names.items():
        assert f"(did you mean '{name}'?)" in found[kind], found[kind]
        assert re.search(rf"allowed: .*\b{name}\b", found[kind]), found[kind]


STAGES = """
import json, sys
sys.path.insert(0, "tests")
from pathlib import Path
from types import SimpleNamespace
import matplotlib.pyplot as plt
import tiny
from secateur.core.files import read_json, read_tsv
from secateur.heads.order import removal_order
from secateur.heads.plots import _by_share
from secateur.layers.plots import _rates
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.surgery.heads import heads
from secateur.reporting import figure, table
from secateur.reporting.drawing import write_figure
from secateur.reporting.results import Results
from secateur.ssl.tasks import prompts, run

folder = Path(sys.argv[1])
tiny.write_corpus(folder)
toy = {key: tiny.CTC[key] for key in ("features", "input", "stack", "encoder")} | {"type": "toy_model"}
model = build_model(toy, tiny.TOKENS)
save_model(folder / "model", model, toy, tiny.TOKENS)
data = ["--data", folder / "data/en/dev", "--features", folder / "features/en/dev", "--device", "cpu"]
model_of = ["--model", folder / "model", "--tokens", folder / "tokens.txt", *data]
tiny.run_script("layer_search", *model_of, "--strategy", "toy-strategy", "--output", folder / "order.json")
search = {"type": "toy_search", "word": "beep"}
tiny.run_script("decode", *model_of, "--search", json.dumps(search), "--output", folder / "decoded")
corpus = {"recipe": "toy_corpus", "tones": 2, "exclude": []}
where = ["--options", json.dumps(corpus), "--language", "en", "--cache", folder / "cache"]
tiny.run_script("fetch_corpus", *where)
tiny.run_script("prepare_corpus", *where, "--output", folder / "study/data/toy/en")

importance = {head: float(number) for number, head in enumerate(heads(model))}
spoken = prompts.read(folder / "study/data/toy", ["en"])
options = {"toy_task": {"source": "directories", "languages": ["en"]}}
fit = SimpleNamespace(again=lambda number: None, seed=1)
tasks = run.run(options, spoken, SimpleNamespace(prepare=lambda *_, **__: None), fit)

ax = plt.subplots()[1]
rate = {"wer": "50", "wer_low": "40", "wer_high": "60", "seed": "1"}
_rates(ax, [rate | {"strategy": name, "depth": depth} for name, depth in (("whole", "2"), ("toy-strategy", "1"))])
removed = {"importance": "gradient", "share": "0.5", "recovery": "false", "policy": "toy-policy"}
_by_share(ax, [rate | removed, rate | removed | {"policy": "whole"}], "wer", 1.0)

toys = next(one for one in table.tables() if one.name == "toys")
rows = table.rows(toys, {}, folder / "study")
drawn = next(one for one in figure.figures() if one.name == "toys")
write_figure(drawn, {"toys": rows, "corpora": []}, folder / "toys.svg")
print(json.dumps({
    "order": read_json(folder / "order.json")["order_removed"],
    "said": sorted({row["hypothesis"] for row in read_tsv(folder / "decoded/hypotheses.tsv")}),
    "heads": [importance[head] for head in removal_order("toy-policy", importance)],
    "task": tasks["toy_task"]["metrics"]["acc"]["value"], "labels": ax.get_legend_handles_labels()[1],
    "lm": Results({"searches": {"toy": search}}, folder).lm_label("toy"),
    "rows": rows, "figure": (folder / "toys.svg").is_file(),
}))
"""


def test_they_run_and_have_their_rows_and_labels(clone, tmp_path):
    found = json.loads(run(clone, "-c", STAGES, str(tmp_path)).splitlines()[-1])
    assert (found["order"], found["said"], found["task"]) == ([1, 2], ["beep"], 2.0)
    assert found["heads"] == sorted(found["heads"], reverse=True)
    assert found["labels"] == ["toy-strategy", "toy-policy"] and found["lm"] == "only beep"
    assert found["rows"] == [{"name": "Tones", "source": "data/toy/en/source.json"}] and found["figure"]
