"""What a job tells of itself, in the file beside its log."""

import json
import os
import subprocess
import sys
import time

from secateur.core import progress
from secateur.core.progress import Progress


def test_the_file_says_how_far_the_job_is(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_WRITES", 0)
    told = Progress(tmp_path / "a.progress.json")
    read = lambda: json.loads((tmp_path / "a.progress.json").read_text())  # noqa: E731
    told.begin("train")
    assert read().keys() == {"command", "host", "started", "updated"} and read()["started"] < time.time()
    told.tell("steps", 40, 100)
    told.tell("steps", 50, 100, loss=1.5)
    found = read()
    assert (found["unit"], found["first"], found["done"], found["of"], found["loss"]) == ("steps", 40, 50, 100, 1.5)
    told.part(1, 2)
    told.tell("utterances", 3, 10)
    found = read()
    assert (found["part"], found["of_parts"], found["first"], found["done"]) == (1, 2, 3, 3) and "loss" not in found
    told.tell("utterances", 1, 10)  # the next part counts from the beginning
    assert read()["first"] == 1
    told.end(failed=True)
    assert read()["failed"] and read()["ended"] >= found["updated"]


def test_it_is_written_now_and_then_and_never_by_halves(tmp_path):
    told = Progress(tmp_path / "a.progress.json")
    told.begin("train")
    for step in range(100):
        told.tell("steps", step, 100)
    assert "done" not in json.loads((tmp_path / "a.progress.json").read_text())
    assert [file.name for file in tmp_path.iterdir()] == ["a.progress.json"]


SCRIPT = """
import sys
from secateur.core import progress
progress.JOB.begin("mine")
list(progress.each(range(3), 3, "things"))
progress.JOB.end()
"""


def test_a_job_finds_its_log_by_itself(tmp_path):
    """As every rule calls it: with its standard error in a log. Of several processes only the first one writes."""
    for name, variables in (("one.log", {}), ("two.log", {"RANK": "1"}), ("words.txt", {})):
        with open(tmp_path / name, "w") as log:
            subprocess.run([sys.executable, "-c", SCRIPT], stderr=log, env=os.environ | variables, check=True)
    found = json.loads((tmp_path / "one.progress.json").read_text())
    assert (found["unit"], found["done"], found["of"]) == ("things", 3, 3) and found["ended"] > found["started"]
    assert sorted(file.name for file in tmp_path.glob("*.json")) == ["one.progress.json"]


def test_a_command_notes_the_core_seconds_that_it_took(tmp_path):
    command = [sys.executable, "-m", "secateur", "configuration", "--output", str(tmp_path / "keys.md")]
    with open(tmp_path / "one.log", "w") as log:
        subprocess.run(command, stderr=log, check=True)
    found = json.loads((tmp_path / "one.progress.json").read_text())
    assert 0 < found["start_cpu_seconds"] < found["cpu_seconds"] < 60


def test_a_full_disk_ends_no_job(tmp_path):
    told = Progress(tmp_path / "nowhere" / "a.progress.json")
    told.begin("train")
    told.end()
