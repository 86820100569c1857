"""The three scripts as a user runs them."""

import json
import subprocess
import sys


def call(name: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "secateur", name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_scripts_make_a_report(study, config):
    text = json.dumps(config)
    for answer in (
        call("tables", "--study", text, "--root", study, "--run-json", study / "tables.json"),
        call("figures", "--tables", study / "tables", "--output", study / "figures"),
        call("report", "--config", text, "--root", study, "--output", study / "report/index.html"),
    ):
        assert (answer.returncode, answer.stderr) == (0, "")
    assert "A tiny study" in (study / "report/index.html").read_text(encoding="utf-8")
    assert json.loads((study / "tables.json").read_text())["command"] == "tables"


def test_an_error_is_one_line(study, config):
    answer = call("figures", "--tables", study / "nowhere", "--output", study / "figures")
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1 and "nowhere/claims.tsv: no such file" in answer.stderr
