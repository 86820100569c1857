"""The study to copy, on small models of Hugging Face's, trained on the speech of `letters`: two paths change."""

import csv
from pathlib import Path

import pytest
from clones import Clone
from letters import write_kaldi
from tiny import run_script
from trained_hugging_face import WHISPER, transcripts_ctc, transcripts_whisper

STUDY = "workflow/studies/prune-mine.yaml"
RESULTS = "results/prune-mine"
MODELS = f"{RESULTS}/models/speech/mine"
MODEL, DATA = "tests/reference/espnet/transformer-ctc", "tests/reference/espnet/speech"
"""The paths in it."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["wavlm", WHISPER])
def clone(request, tmp_path_factory) -> tuple[Clone, str]:
    """A copy of the tree with the study of a model finished, and the model's name."""
    folder = tmp_path_factory.mktemp(request.param)
    write_kaldi(folder / "speech")
    clone = Clone.make(folder / "secateur")
    given = (clone.folder / STUDY).read_text()
    for old, new in ((MODEL, f"tests/fixtures/{request.param}"), (DATA, str(folder / "speech"))):
        assert given.count(old) == 1
        given = given.replace(old, new)
    (clone.folder / "mine.yaml").write_text(given)
    clone.launch(study="mine.yaml")
    return clone, request.param


def rows(clone: Clone, table: str) -> list[dict[str, str]]:
    with open(clone.folder / RESULTS / "tables" / f"{table}.tsv", encoding="utf-8", newline="") as stream:
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
    assert {row["depth"] for row in rows(clone, "layers")} >= {"1", "2"}
    found = {(row["policy"], row["share"]) for row in rows(clone, "heads")}
    assert found >= {(policy, share) for policy in ("global", "latency-aware") for share in ("0.25", "0.5")}
    assert (clone.folder / RESULTS / "report/index.html").is_file()


def test_a_pruned_model_goes_back_to_transformers_which_hears_the_same(clone, tmp_path):
    clone, name = clone
    pruned, source = "en/lth-adaptive/s700/seed1", clone.folder / f"tests/fixtures/{name}"
    options = {"model": clone.folder / MODELS / pruned, "source": source, "language": "en", "output": tmp_path / "back"}
    run_script("export_original", *(word for key, value in options.items() for word in (f"--{key}", value)))
    found = transcripts(name, tmp_path / "back")
    assert found == heard(clone, name, pruned) and len(set(found)) > 3
    assert found != heard(clone, name, "all/dense/s000/seed1"), "pruning changed something"
