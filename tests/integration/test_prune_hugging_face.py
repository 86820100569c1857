"""Studies on small models of Hugging Face's, trained on the speech of `letters`: from their folders to pruned rows."""

import csv
from pathlib import Path

import pytest
import yaml
from clones import Clone
from letters import write_kaldi
from tiny import run_script
from trained_hugging_face import WHISPER, transcripts_ctc, transcripts_whisper

MODELS = "results/mine/models/mine/mine"
pytestmark = pytest.mark.slow


def study(folder: Path, name: str) -> dict:
    """A model folder, a data directory, methods: the search is the one that fits the type of the model."""
    return {
        "study": "mine",
        "corpora": {"mine": {"recipe": "kaldi", "languages": ["en"], "root": str(folder)}},
        "models": {"mine": {"pretrained": f"tests/fixtures/{name}"}},
        "training": {"retrain": {"steps": 20, "batch_seconds": 20, "learning_rate": 1e-4, "evaluate_every": 10}},
        "pruning": {"progressive": {"levels": [0.5, 0.8], "training": "retrain", "adapt_every": 5}},
        "dense": [{"corpus": "mine", "model": "mine"}],
        "prune": [{"model": "mine", "schedule": "progressive", "methods": ["one-shot", "lap", "lth-adaptive"]}],
        "layers": [{"model": "mine", "strategies": ["greedy"], "depths": [2]}],
        "heads": [{"model": "mine", "shares": [0.25, 0.5], "policies": ["global"], "utterances": 5}],
        "regularise": [],
        "ssl": [],
        "decode": {"searches": ["greedy"]},
        "features": {"speeds": [1.0]},
        "timing": {"utterances": 2, "rounds": 1, "beam": {"utterances": 2, "rounds": 1}},
    }


@pytest.fixture(scope="module", params=["wavlm", WHISPER])
def clone(request, tmp_path_factory) -> tuple[Clone, str]:
    """A copy of the tree with the study of a model finished, and the model's name."""
    folder = tmp_path_factory.mktemp(request.param)
    write_kaldi(folder / "speech")
    clone = Clone.make(folder / "secateur")
    (clone.folder / "mine.yaml").write_text(yaml.safe_dump(study(folder / "speech", request.param)))
    clone.launch(study="mine.yaml")
    return clone, request.param


def rows(clone: Clone, table: str) -> list[dict[str, str]]:
    with open(clone.folder / "results/mine/tables" / f"{table}.tsv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def transcripts(name: str, folder: Path) -> list[str]:
    """What transformers hears on test."""
    return (transcripts_whisper if name == WHISPER else transcripts_ctc)(folder)


def heard(clone: Clone, name: str, run: str) -> list[str]:
    """What the study's model in a folder below `MODELS` heard on test."""
    search = "generate" if name == WHISPER else "greedy"
    with open(clone.folder / MODELS / run / f"decode/{search}/hypotheses.tsv", encoding="utf-8") as stream:
        return [row["hypothesis"] for row in csv.DictReader(stream, delimiter="\t") if row["split"] == "test"]


def test_the_dense_row_is_what_transformers_writes_and_pruned_rows_follow(clone):
    clone, name = clone
    assert heard(clone, name, "all/dense/s000/seed1") == transcripts(name, clone.folder / f"tests/fixtures/{name}")
    wer = {row["method"]: float(row["wer"]) for row in rows(clone, "wer") if row["split"] == "test"}
    assert {"dense", "one-shot", "lap", "lth-adaptive"} <= wer.keys() and wer["dense"] < 90
    assert {row["depth"] for row in rows(clone, "layers")} >= {"2"}
    assert {row["share"] for row in rows(clone, "heads")} >= {"0.25", "0.5"}
    assert (clone.folder / "results/mine/report/index.html").is_file()


def test_a_pruned_model_goes_back_to_transformers_which_hears_the_same(clone, tmp_path):
    clone, name = clone
    pruned, source = "en/lth-adaptive/s500/seed1", clone.folder / f"tests/fixtures/{name}"
    options = {"model": clone.folder / MODELS / pruned, "source": source, "language": "en", "output": tmp_path / "back"}
    run_script("export_original", *(word for key, value in options.items() for word in (f"--{key}", value)))
    found = transcripts(name, tmp_path / "back")
    assert found == heard(clone, name, pruned) and len(set(found)) > 3
    assert found != heard(clone, name, "all/dense/s000/seed1"), "pruning changed something"
