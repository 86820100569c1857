"""Two runs side by side: which systems, the differences by hand, and what the records differ in."""

import json
import shutil

import pytest
from tiny import run_script

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv, write_json, write_tsv
from secateur.overview.two_runs import CODE, CONFIGURATION, HARDWARE, VERSIONS, Study, changes, missing, rows

GREEDY = "models/talk_show/ctc/all/dense/s000/seed{}/decode/greedy"


@pytest.fixture
def studies(study):
    """The tiny study, and a copy of it that may be changed."""
    return study, shutil.copytree(study, study.with_name("other"))


def fewer_errors(root, seed, by=1):
    """Take an error from the first utterance of every language."""
    file = root / GREEDY.format(seed) / "utterances.tsv"
    table = read_tsv(file)
    for row in table:
        row["errors"] = int(row["errors"]) - (by if row["utterance"] == "u0" else 0)
    write_tsv(file, list(table[0]), table)


def wanted(found, **axes):
    return [row for row in found if all(row[name] == value for name, value in axes.items())]


def test_equal_runs_differ_in_nothing(studies):
    a, b = map(Study.read, studies)
    found = list(rows(a, b))
    assert found and all(row["difference"] == row["differing"] == row["left_out"] == 0 for row in found)
    assert changes(a, b) == [] and missing(a, b) == ([], [])
    assert {row["language"] for row in found if row["scope"] == "all"} == {"en", "fr", "avg"}
    assert {row["language"] for row in found if row["scope"] == "en"} == {"en"}


def test_differences_by_hand(studies):
    """Ten words a language. In one of two seeds one error less: 10 points by 2; on average over languages, too."""
    fewer_errors(studies[1], seed=1)
    (row,) = wanted(rows(*map(Study.read, studies)), scope="all", search="greedy", language="en")
    # en, greedy: 1 + 2 + seed errors in the first utterance, one in the second.
    assert (row["wer_a"], row["wer_b"]) == (pytest.approx(45), pytest.approx(40))
    assert row["difference"] == pytest.approx(-5) and row["seeds"] == 2 and row["utterances"] == 2
    assert row["difference_low"] < -5 < row["difference_high"] and row["differing"] == 1
    (mean,) = wanted(rows(*map(Study.read, studies)), scope="all", search="greedy", language="avg")
    assert mean["difference"] == pytest.approx(-5) and mean["utterances"] == 4


def test_only_utterances_that_both_have_count(studies):
    file = studies[1] / GREEDY.format(0) / "utterances.tsv"
    table = [row for row in read_tsv(file) if (row["language"], row["utterance"]) != ("en", "u1")]
    write_tsv(file, list(table[0]), table)
    (row,) = wanted(rows(*map(Study.read, studies)), scope="all", search="greedy", language="en")
    assert (row["utterances"], row["left_out"]) == (1, 1) and row["difference"] == 0
    assert row["difference_low"] is None, "one utterance shows no spread"


@pytest.mark.parametrize("folder", ["heads/decode", "depths", "decoder-depths", "exits", "onnx"])
def test_parts_of_models_are_compared_wherever_they_are_decoded(studies, folder):
    for place, root in enumerate(studies):
        table = read_tsv(root / GREEDY.format(0) / "utterances.tsv")
        for row in table:
            row |= {"sub_model": "some", "errors": int(row["errors"]) + place}
        write_tsv((root / GREEDY.format(0)).parents[1] / folder / "greedy/utterances.tsv", list(table[0]), table)
    (row,) = wanted(rows(*map(Study.read, studies)), scope="all", sub_model="some", language="avg")
    assert (row["search"], row["seeds"], row["differing"], row["difference"]) == ("greedy", 1, 4, pytest.approx(20))


def test_encoders_are_among_the_records(studies):
    for number, root in enumerate(studies):
        write_json(root / "upstreams/small/proposed/seed1/run.json", {"command": "ssl-distill", "git": str(number)})
    assert [change.folders for change in changes(*map(Study.read, studies))] == [("upstreams/small/proposed/seed1",)]


def test_what_the_records_differ_in(studies):
    for root, steps, study in ((studies[0], 400, "tiny"), (studies[1], 800, "other")):
        for seed in (0, 1):
            file = (root / GREEDY.format(seed)).parents[1] / "run.json"
            record = json.loads(file.read_text())
            training = {"steps": steps, "batch_seconds": 20}
            arguments = {"training": training, "data": f"results/{study}/data", "output": f"results/{study}/x"}
            record |= {"command": "train", "arguments": arguments | {"code": f"c{steps}"}, "host": f"host{steps}"}
            record["versions"]["torch"] = f"2.{steps}"
            file.write_text(json.dumps(record))
    found = changes(*map(Study.read, studies))
    assert [(change.kind, change.name, change.a, change.b) for change in found] == [
        (CONFIGURATION, "train training.steps", "400", "800"),
        (CODE, "code of train", "c400", "c800"),
        (VERSIONS, "torch", "2.400", "2.800"),
        (HARDWARE, "host", "host400", "host800"),
    ]
    assert all(len(change.folders) == 2 for change in found)


def test_the_command_prints_all_of_it(studies, tmp_path, capsys):
    fewer_errors(studies[1], seed=0)
    shutil.rmtree((studies[1] / GREEDY.format(0)).with_name("beam"))
    shutil.rmtree((studies[1] / GREEDY.format(1)).with_name("beam"))
    run_script("compare", "tiny", studies[1], "--results", studies[0].parent, "--output", tmp_path / "c.tsv")
    said = capsys.readouterr().out
    assert "| talk_show ctc all dense s000 | test    | greedy   | en " in said and "-5.0 [" in said
    assert "Only in A: talk_show ctc all dense s000" in said and "nothing that their records tell" in said
    written = read_tsv(tmp_path / "c.tsv")
    alike = [row for row in written if row["differing"] == "0"]
    assert f"\n{len(alike)} of {len(written)} rows are equal" in said and 0 < len(alike) < len(written)
    assert said.count("| equal ") == len(alike)
    assert len(written) == sum(line.startswith("| talk_show") for line in said.splitlines())
    with pytest.raises(SecateurError, match=r"no study 'tyni' in .*studies: other, tiny"):
        run_script("compare", "tyni", "tiny", "--results", studies[0].parent)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SecateurError, match="nothing is decoded there"):
        run_script("compare", tmp_path / "empty", "tiny", "--results", studies[0].parent)
