"""Rows of exported models among all systems: their files, their errors, their times."""

import pytest
from timings import write_times

from secateur.core.files import read_json, write_json
from secateur.exported import FOLDER
from secateur.exported import study as exported
from secateur.overview.handover import hand_over
from secateur.reporting.drawing import write_figures
from secateur.reporting.render import write_tables
from secateur.reporting.report import write_report
from secateur.reporting.table import measured, read_tables

MODEL = {"type": "ctc", "encoder": {"layers": 6}, "training": "acoustic"}
ENTRY = {
    "corpus": "talk_show",
    "model": "ctc",
    "methods": ["dense"],
    "formats": ["onnx", "int8"],
    "searches": ["beam_lm"],
}
STUDY = {
    "seeds": [0],
    "models": {"ctc": MODEL},
    "dense": [{"corpus": "talk_show", "model": "ctc", "scopes": ["all"], "searches": ["beam_lm"]}],
    "export": [ENTRY],
}
WRITTEN = {
    "layers": 6,
    "systems": {
        "onnx": {"model": "onnx.onnx", "model_bytes": 4000, "peak_memory": 9000, "lm": "onnx-lm.onnx", "lm_bytes": 900},
        "int8": {"model": "int8.onnx", "model_bytes": 1100, "peak_memory": 6000, "lm": "int8-lm.onnx", "lm_bytes": 300},
    },
}
ERRORS = {"onnx": (1, 1), "int8": (5, 3)}


@pytest.fixture(scope="module")
def systems(tmp_path_factory, write_study, write_heard):
    """Folder of a study with exported models, and the rows of its table of systems."""
    base, build = write_study
    config = base | STUDY
    root = build(tmp_path_factory.mktemp("exported") / "tiny", config)
    ((_, run),) = exported.runs(config)
    write_json(root / exported.systems_file(run, "beam_lm"), WRITTEN)
    for decoding in exported.decodings(config):
        write_heard(root, decoding, ERRORS)
        write_json(root / decoding.folder / "run.json", read_json(root / run.folder / "run.json"))
    write_times(root, config, seconds, [10.0])
    write_tables(config, root)
    return config, root, read_tables(root / "tables")["systems"]


def seconds(run, search, part):
    return [{"": (0.5, 0.1, 0.2), "onnx": (0.3, 0.1, 0.1), "int8": (0.2, 0.1, 0.1)}[part]]


def test_an_exported_model_is_a_system_with_the_bytes_that_are_shipped(systems):
    _, _, rows = systems
    found = {row["format"]: row for row in rows if row["kind"] == "exported"}
    dense = next(row for row in rows if row["kind"] == "dense")
    assert found.keys() == {"onnx", "int8"}
    assert {name: int(row["bytes"]) for name, row in found.items()} == {"onnx": 4900, "int8": 1400}
    assert found["int8"]["system"] == "ctc, int8" and found["int8"]["peak_memory"] == "6000"
    assert float(found["int8"]["wer"]) > float(found["onnx"]["wer"])
    for column in ("parameters", "macs_per_second"):
        assert found["int8"][column] == dense[column]
    assert {name: row["rtf"] for name, row in found.items()} == {"onnx": "0.05", "int8": "0.04"}
    assert found["int8"]["timed"] == "in turns" and dense["rtf"] == "0.08"


def test_the_tables_read_what_they_say_and_show_it(systems, files_read):
    config, root, _ = systems
    assert files_read(config, root) <= set(measured(config))
    assert "ctc, int8" in (root / "tables/systems.md").read_text()
    write_figures(root / "tables", root / "figures")
    write_report(config, root / "tables", root / "figures", root / "report/index.html", root)
    assert "ctc, int8" in (root / "report/index.html").read_text()


def test_what_is_chosen_is_handed_over_as_it_is_shipped(systems, tmp_path):
    config, root, rows = systems
    ((_, run),) = exported.runs(config)
    files = (root / exported.systems_file(run, "beam_lm")).parent / FOLDER
    files.mkdir()
    for system in WRITTEN["systems"].values():
        for part in ("model", "lm"):
            (files / system[part]).write_text(system[part])
    write_json(root / run.folder / "model.json", {"tokens": ["<blank>"]})
    hand_over(root, next(row for row in rows if row["format"] == "int8"), tmp_path)
    assert (tmp_path / "model.onnx").read_text() == "int8.onnx" and (tmp_path / "lm.onnx").read_text() == "int8-lm.onnx"
    assert {file.name for file in tmp_path.iterdir()} == {"model.onnx", "lm.onnx", "model.json", "system.json"}
