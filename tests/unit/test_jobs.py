"""The record of a job."""

import json
import sys

from secateur.jobs import job


def record(tmp_path, monkeypatch, **facts):
    """What a job records of which `run` says so much."""
    file = tmp_path / "run.json"
    monkeypatch.setattr(sys, "argv", ["some.py", "--run-json", str(file)])
    job("Does nothing.", lambda parser: None, lambda arguments, record: record.update(facts))
    return json.loads(file.read_text())


def test_the_processor_time_of_a_job_that_was_killed_and_went_on_is_not_known(tmp_path, monkeypatch):
    whole = record(tmp_path, monkeypatch)
    assert whole["cpu_seconds"] > 0 and whole["script"] == "some.py"
    assert record(tmp_path, monkeypatch, seconds=0.0)["cpu_seconds"] > 0
    went_on = record(tmp_path, monkeypatch, seconds=1000.0)
    assert (went_on["seconds"], went_on["cpu_seconds"]) == (1000.0, None)
