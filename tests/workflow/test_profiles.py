"""The cluster's profile against the workflow: what every job would ask for, in a dry run with real Snakemake."""

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from clones import Clone

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ROOT / "profiles" / "slurm" / "config.yaml"
STUDIES = ROOT / "workflow" / "studies"


def dry_run(*configurations):
    """One job of every rule: {rule: {threads, shell, and resources}}."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "snakemake", "-n", "-p", "--forceall", "--profile", "profiles/slurm"]
    command += ["--cores", "64"]  # in a dry run, else one, and the threads of no job are more
    command += ["--configfile", *map(str, configurations)]
    answer = subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = {}
    # A job of a group is indented, below its group.
    for rule, text in re.findall(
        r"^ *(?:local)?rule (\w+):$(.*?)^ *Shell command: ", answer.stdout + "Shell command: ", re.MULTILINE | re.DOTALL
    ):
        resources = re.search(r"^ *resources: (.*)$", text, re.MULTILINE)[1]
        threads = re.search(r"^ *threads: (\d+)$", text, re.MULTILINE)
        found[rule] = dict(item.strip().split("=", 1) for item in resources.split(",") if "=" in item)
        found[rule] |= {"threads": threads[1] if threads else "1"}
    return found


@pytest.fixture(scope="module")
def asked():
    """What the jobs of the studies ask for: {rule: resources of one of its jobs}."""
    return dry_run(STUDIES / "smoke.yaml") | dry_run(STUDIES / "mls-tables.yaml")


@pytest.fixture(scope="module")
def profile():
    return yaml.safe_load(PROFILE.read_text())


def test_every_job_asks_for_memory_and_time(asked):
    assert {"train", "decode", "features", "tables"} <= asked.keys()
    for rule, resources in asked.items():
        assert int(resources["mem_mb"]) >= 1000 and int(resources["runtime"]) >= 10, rule


def test_every_rule_that_may_use_a_gpu_is_of_a_kind(asked, profile):
    """A rule that is new needs a line: set-resources decides where jobs with a GPU go."""
    with_gpu = {rule for rule, resources in asked.items() if resources.get("gpu") == "1"}
    assert {"train", "prune", "decode"} <= with_gpu
    missing = with_gpu - profile["set-resources"].keys()
    assert not missing, f"{PROFILE.relative_to(ROOT)}: name {sorted(missing)} under set-resources, beside their like"


def test_every_job_that_trains_asks_for_all_its_processes(tmp_path):
    """Those of the script's --training: CPUs, GPUs and nodes are for Snakemake to know before the job starts."""
    trainings = {**yaml.safe_load((ROOT / "config.yaml").read_text())["training"]}
    study = {"training": {name: {"processes": 2} for name in trainings}, "ssl": one_training_a_student()}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(study))
    scripts = {path.stem.replace("_", "-") for path in ROOT.glob("src/secateur/scripts/*.py") if trains(path)}
    assert {"train", "train-lm", "prune"} <= scripts
    rules = {
        rule
        for file in ROOT.glob("workflow/rules/*.smk")
        for rule, body in re.findall(r"^rule (\w+):$(.*?)(?=^\S|\Z)", file.read_text(), re.MULTILINE | re.DOTALL)
        if any(f"-m secateur {script} " in body for script in scripts)
    }
    asked = dry_run(STUDIES / "smoke.yaml", tmp_path / "two.yaml")
    assert {"train", "train_lm", "prune"} <= rules <= asked.keys()
    for rule in rules:
        found = asked[rule]["threads"], asked[rule]["gpu"], asked[rule]["mem_mb"]
        assert found == ("2", "2", "32000"), f"{rule}: wants `threads: processes` and the resources **TRAINING"


def one_training_a_student():
    """The encoders of the smoke study; a student's second training cannot have several processes."""
    entries = yaml.safe_load((STUDIES / "smoke.yaml").read_text())["ssl"]
    for student in (student for entry in entries for student in entry["students"]):
        student.pop("second", None)
    return entries


def trains(script):
    """Whether a script takes an entry of `training`."""
    text = script.read_text()
    return '"--training"' in text or "command_line.add_arguments" in text


def test_the_profile_names_no_rule_that_is_gone(asked, profile):
    assert profile["set-resources"].keys() | profile["groups"].keys() <= asked.keys()


def test_jobs_of_a_group_of_decodings_take_turns(asked, profile):
    members = {rule for rule, group in profile["groups"].items() if group == "decoding"}
    assert {rule for rule, resources in asked.items() if "turn" in resources} == members
    assert profile["resources"]["turn"] == 1


def test_memory_and_time_grow_with_every_attempt(profile):
    requests = [profile["default-resources"], *profile["set-resources"].values()]
    sizes = [value for request in requests for key, value in request.items() if key in ("mem_mb", "runtime")]
    assert len(sizes) > 10 and all(str(value).endswith("* attempt") for value in sizes)
    assert profile["retries"] > 0


def test_the_default_profile_leaves_to_clusters_what_they_want_otherwise(profile):
    """An entry of profiles/default would silently replace that of the cluster's profile."""
    default = yaml.safe_load((ROOT / "profiles" / "default" / "config.yaml").read_text())
    assert not default.keys() & profile.keys()


def test_every_entry_is_explained():
    lines = PROFILE.read_text().splitlines()
    for before, line in pairwise(lines):
        if re.match(r"[a-z-]+:", line):
            assert before.startswith("#"), f"{line}: no comment above it"


def test_on_a_cluster_nothing_asks_how_many_cores_there_are(tmp_path, monkeypatch):
    """Unlike a dry run, a run has no number of cores there; it gets as far as SLURM, which here refuses everything."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr", "sshare"):
        (commands / name).write_text("#!/bin/sh\necho no such partition >&2; exit 1\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    target = "results/smoke/data/espeak/en/run.json"
    status, said = Clone.make(tmp_path / "clone").launch(target, "--retries", "0", profile="slurm", check=False)
    assert status != 0 and "no such partition" in said, said


def test_a_job_is_one_process():
    """Of a shell that waits for its script, the script would go on when the shell is killed."""
    commands = [
        command
        for path in (ROOT / "workflow" / "rules").glob("*.smk")
        for command in re.findall(r'^    +shell:\s+"(.*)', path.read_text(), re.MULTILINE)
    ]
    assert len(commands) > 25
    assert [command for command in commands if not re.match(r"(\w+=\w+ )?exec python -m secateur ", command)] == []
