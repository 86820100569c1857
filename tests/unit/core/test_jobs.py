"""The record of a job."""

import json
import os
import subprocess
import sys

from secateur.core.jobs import job, plain
from secateur.decoding.options import TimedGroup


def record(tmp_path, **facts):
    """What a job records of which `run` says so much."""
    file = tmp_path / "run.json"
    words = ["--run-json", str(file)]
    job("some", "Does nothing.", lambda parser: None, lambda arguments, record: record.update(facts), words)
    return json.loads(file.read_text())


def test_the_processor_time_of_a_job_that_was_killed_and_went_on_is_not_known(tmp_path):
    whole = record(tmp_path)
    assert whole["cpu_seconds"] > 0 and whole["command"] == "some"
    assert record(tmp_path, seconds=0.0)["cpu_seconds"] > 0
    went_on = record(tmp_path, seconds=1000.0)
    assert (went_on["seconds"], went_on["cpu_seconds"]) == (1000.0, None)


def test_a_job_that_claims_all_cores_computes_with_the_threads_that_it_was_given():
    """Snakemake sets MKL_NUM_THREADS to the cores that a job claims; torch listens to that first."""
    code = "from secateur.core import devices; print(devices.use_threads())"
    variables = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "2"}
    told = subprocess.run([sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True)
    assert told.stdout.strip() == "1", told.stderr


def test_options_by_name_are_recorded_as_json_has_them():
    """`timing` takes its groups so; a record that cannot be written would cost all that was measured."""
    groups = {"quick": TimedGroup(searches=("greedy",), utterances=20, rounds=6)}
    assert json.loads(json.dumps(plain(groups)))["quick"] == {"searches": ["greedy"], "utterances": 20, "rounds": 6}
