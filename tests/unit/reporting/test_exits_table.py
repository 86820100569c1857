"""The table and figure of early exit, against numbers computed by hand."""

import re

import pytest
from timings import write_times

from secateur.core.files import read_json, read_tsv, write_json, write_tsv
from secateur.exits import study as exits
from secateur.reporting.drawing import write_figures
from secateur.reporting.render import write_tables
from secateur.reporting.report import write_report
from secateur.reporting.table import measured, read_tables

MODEL = {"type": "ctc", "encoder": {"layers": 6}, "training": "acoustic"}
STUDY = {
    "seeds": [0],
    "models": {"ctc": MODEL},
    "dense": [{"corpus": "talk_show", "model": "ctc", "scopes": ["all"], "searches": ["greedy"]}],
    "exits": [{"corpus": "talk_show", "model": "ctc", "at": [2, 4], "measures": ["entropy"], "searches": ["greedy"]}],
}
POINT = "entropy, 4 layers"
CHOSEN = {
    "exits": {"2": {"alone": 20, "macs": 21}, "4": {"alone": 40, "macs": 42}, "6": {"alone": 60, "macs": 62}},
    "points": {
        "layer 2": {
            "measure": "entropy",
            "threshold": None,
            "exits": [2],
            "dev": {"layers": 2.0, "wer": 55.0, "macs_per_second": 20, "left": {"2": 1.0, "4": 0.0, "6": 0.0}},
        },
        POINT: {
            "measure": "entropy",
            "threshold": 0.2,
            "exits": [2, 4],
            "dev": {"layers": 4.1, "wer": 35.0, "macs_per_second": 44, "left": {"2": 0.5, "4": 0.0, "6": 0.5}},
        },
    },
    "curves": {"entropy": [[0.0, 6.0, 30.0], [0.2, 4.1, 35.0]]},
    "utterances": 8,
}
LEFT = {"layer 2": (2, 2), POINT: (2, 6)}
"""Where the two utterances, of 1 and 3 seconds, left."""
ERRORS = {"layer 2": (5, 3), POINT: (1, 1)}


@pytest.fixture(scope="module")
def left(tmp_path_factory, write_study, write_heard):
    """Configuration, folder and tables of a study with early exit."""
    base, build = write_study
    config = base | STUDY
    root = build(tmp_path_factory.mktemp("exits") / "tiny", config)
    ((_, run),) = exits.runs(config)
    write_json(root / exits.exits_file(run, "greedy"), CHOSEN)
    for decoding in exits.decodings(config):
        write_heard(root, decoding, ERRORS)
        write_json(root / decoding.folder / "run.json", read_json(root / run.folder / "run.json"))
    file = root / decoding.folder / "hypotheses.tsv"
    rows = [row | _place(row) for row in read_tsv(file)]
    write_tsv(file, rows[0], rows)
    write_times(root, config, seconds, [10.0], depths={"ctc": 6})
    write_tables(config, root)
    write_figures(root / "tables", root / "figures")
    return config, root, read_tables(root / "tables")


def _place(row):
    """How long an utterance lasts, and where it left."""
    place = int(row["utterance"].removeprefix("u"))
    return {"duration_s": 1.0 + 2 * place, "layers": LEFT[row["sub_model"]][place]}


def seconds(run, search, part):
    return [({"": 0.8, "layer 2": 0.2, POINT: 0.5}[part], 0.0, 0.0)]


def test_every_point_stands_beside_the_fixed_depth_and_the_whole_model(left):
    rows = [row for row in left[2]["exits"] if row["language"] == "en"]
    assert [(row["measure"], row["point"], row["threshold"], float(row["wer"]), row["rtf"]) for row in rows] == [
        ("whole", "whole", "", 40.0, "0.08"),
        ("fixed depth", "layer 2", "", 80.0, "0.02"),
        ("entropy", POINT, "0.2", 20.0, "0.05"),
    ]
    assert [float(row["mean_layers"]) for row in rows] == [6.0, 2.0, (1 * 2 + 3 * 6) / 4]
    assert [float(row["macs_per_second"]) for row in rows] == [60.0, 20.0, (21 + 3 * 62) / 4]
    assert [row["left"] for row in rows] == ["6: 100 %", "2: 100 %", "2: 25 %, 6: 75 %"]
    assert [float(row["dev_wer"]) for row in rows] == [30.0, 55.0, 35.0]
    assert [float(row["ratio"]) for row in rows] == pytest.approx([1.0, 0.25, 0.625])


def test_points_are_systems_whose_arithmetic_is_that_of_dev(left):
    rows = {row["system"]: row for row in left[2]["systems"] if row["kind"] == "early exit"}
    assert set(rows) == {"ctc, left at layer 2", f"ctc, left at {POINT}"}
    row = rows[f"ctc, left at {POINT}"]
    assert (float(row["macs_per_second"]), row["parameters"], row["rtf"]) == (44.0, "1250000", "0.05")


def test_the_tables_read_what_they_say_and_the_figure_has_all_lines(left, files_read):
    config, root, tables = left
    assert files_read(config, root) <= set(measured(config))
    assert [(row["threshold"], row["mean_layers"]) for row in tables["exit_curves"]] == [("0.0", "6.0"), ("0.2", "4.1")]
    drawn = (root / "figures/exits.svg").read_text()
    assert len(re.findall('class="tip"', drawn)) == 2 * 4  # the whole model ends both lines, in both panels
    write_report(config, root / "tables", root / "figures", root / "report/index.html", root)
    page = (root / "report/index.html").read_text()
    assert "Early exit: ctc, greedy" in page and "no more errors" in page
    (again,) = [line for line in (root / "tables/exits.md").read_text().splitlines() if "A/A" in line and "|" in line]
    assert "timed twice" in again and "1.00 [1.00, 1.00]" in again
