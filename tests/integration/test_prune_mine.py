"""The study to copy, on a small model that ESPnet trained and packed: from its folder to pruned rows, and back."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from clones import Clone

from secateur.models import formats

STUDY, RESULTS = "prune-mine", "results/prune-mine"
SOURCE = "tests/reference/espnet/transformer-ctc"
MODELS = f"{RESULTS}/models/speech/mine/all"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    """A copy of the tree with the study finished."""
    clone = Clone.make(tmp_path_factory.mktemp("mine") / "secateur")
    _, said = clone.launch(study=STUDY)
    assert "models.mine: tests/reference/espnet/transformer-ctc: ESPnet2 model" in said
    return clone


def rows(clone: Clone, table: str) -> list[dict[str, str]]:
    with open(clone.folder / RESULTS / "tables" / f"{table}.tsv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_the_dense_row_is_the_model_as_it_is_and_pruned_rows_follow(clone):
    found = {row["method"]: row for row in rows(clone, "wer") if row["language"] == "en" and row["split"] == "test"}
    expected = json.loads((clone.folder / SOURCE / "expected.json").read_text())["hypotheses"]["greedy"]
    with open(clone.folder / MODELS / "dense/s000/seed1/decode/greedy/hypotheses.tsv", encoding="utf-8") as stream:
        heard = {row["utterance"]: row["hypothesis"] for row in csv.DictReader(stream, delimiter="\t")}
    assert heard == {name: expected[name] for name in heard} and len(heard) == 12
    assert float(found["dense"]["wer"]) < 90
    assert {"one-shot", "lap", "lth-adaptive"} <= found.keys()


def test_layers_and_heads_go_too(clone):
    assert {row["depth"] for row in rows(clone, "layers")} >= {"1", "2"}
    assert {row["share"] for row in rows(clone, "heads")} >= {"0.25", "0.5"}


def test_a_pruned_model_goes_back(clone, tmp_path):
    pruned = clone.folder / MODELS / "lap/s700/seed1"
    words = ["export-original", "--model", pruned, "--source", SOURCE, "--output", tmp_path / "back"]
    subprocess.run([sys.executable, "-m", "secateur", *words], cwd=clone.folder, env=clone.environment, check=True)
    zeros = [(value == 0).float().mean() for value in formats.load(tmp_path / "back").model.encoder.parameters()]
    assert max(zeros) > 0.5
    assert (tmp_path / "back/meta.yaml").is_file()


def test_nothing_runs_again(clone):
    assert not clone.planned(study=STUDY)
    assert Path(clone.folder / RESULTS / "report/index.html").is_file()
