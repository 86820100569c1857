"""The table of times on other devices, from rows whose numbers are known."""

import pytest

from secateur.config.complete import complete
from secateur.core.errors import SecateurError
from secateur.core.files import write_tsv
from secateur.decoding.timing import AGAIN
from secateur.exported.target import COLUMNS
from secateur.reporting.drawing import write_figures
from secateur.reporting.render import write_tables
from secateur.reporting.report import write_report
from secateur.reporting.table import measured, read_tables

SOUND = {"same": 1.01, "same_low": 0.99, "same_high": 1.03, "others": 0.02, "measured": 1, "doubt": ""}
ABOUT = SOUND | {"threads": 1, "machine": "pi, aarch64", "runtime": "1.27.0", "lm_s": 0.0}
SECONDS = {"whole": 0.2, "small, int8": 0.05, AGAIN: 0.202}


def write(file):
    rows = [
        ABOUT
        | {"system": system, "round": number, "utterance": name, "duration_s": lasts, "bytes": 3_000_000}
        | {"encoder_s": took * lasts, "search_s": 0.1 * took * lasts, "agrees": int(name == "u0" or system == "whole")}
        for system, took in SECONDS.items()
        for number in (1, 2)
        for name, lasts in (("u0", 1.0), ("u1", 3.0))
    ]
    write_tsv(file, COLUMNS, rows)


def test_the_report_takes_the_times_in(tmp_path, write_study, files_read, monkeypatch):
    base, build = write_study
    config = base | {"study": "tiny", "timing": {"targets": {"pi": "copied/times.tsv"}}}
    monkeypatch.chdir(tmp_path)
    root = build(tmp_path / "results/tiny", config)
    write(tmp_path / "copied/times.tsv")
    write_tables(config, root)
    assert "../../copied/times.tsv" in measured(config) and files_read(config, root) <= set(measured(config))
    rows = {row["system"]: row for row in read_tables(root / "tables")["targets"]}
    assert rows.keys() == SECONDS.keys()
    assert [float(row["rtf"]) for row in rows.values()] == pytest.approx([0.22, 0.055, 0.2222])
    assert [float(row["ratio"]) for row in rows.values()] == pytest.approx([1.0, 0.25, 1.01])
    assert [float(row["agrees"]) for row in rows.values()] == [100, 50, 50]
    assert {(row["target"], row["rounds"], row["utterances"]) for row in rows.values()} == {("pi", "2", "2")}
    write_figures(root / "tables", root / "figures")
    write_report(config, root / "tables", root / "figures", root / "report/index.html", root)
    page = (root / "report/index.html").read_text()
    assert "On pi (pi, aarch64)" in page and "1.010 [0.990, 1.030]" in page


def test_a_file_that_is_not_there_is_named():
    from pathlib import Path

    from secateur.config.schema import read_yaml

    config = read_yaml(Path(__file__).parents[3] / "config.yaml") | {"timing": {"targets": {"pi": "nowhere/times.tsv"}}}
    with pytest.raises(SecateurError, match=r"timing\.targets\.pi: nowhere/times\.tsv is no file; run `run\.py`"):
        complete(config)
