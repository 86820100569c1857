"""The live view, as Snakemake's logger and from another shell, on a workflow of three jobs."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from clones import wait_for

ROOT = Path(__file__).resolve().parents[2]
SNAKEFILE = """
from secateur.watch import plan
from secateur.watch.work import LIGHT, Work

onstart:
    plan.note(workflow, 2, lambda rule, at: Work(rule, LIGHT, 100, 1), {"study": "mine"}, {"the end": ["last"]})

rule all:
    input: "last", "bad"

rule first:
    output: "first"
    log: "logs/mine/first.log"
    shell: "exec python train.py &> {log}; touch first"

rule last:
    input: "first"
    output: "last"
    log: "logs/mine/last.log"
    shell: "touch last"

rule bad:
    output: "bad"
    log: "logs/mine/bad.log"
    shell: "echo it is broken > {log}; exit 1"

rule worse:
    input: "bad"
    output: "worse"
    log: "logs/mine/worse.log"
    shell: "touch worse"
"""
TRAINS = """
import time
from pathlib import Path
from secateur.core import progress

progress.SECONDS_BETWEEN_WRITES = 0
progress.JOB.begin("train")
for step in range(30):
    progress.JOB.tell("steps", step, 100, loss=2.5)
while not Path("go").exists():
    time.sleep(0.05)
progress.JOB.end()
Path("first").touch()
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "train.py").write_text(TRAINS)
    return tmp_path


def snakemake(folder, *arguments, **options):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--keep-going", "--logger", "secateur", *arguments]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": path, "TERM": "xterm", "LINES": "24"}
    return subprocess.Popen(command, cwd=folder, env=variables, **options)


def status(folder):
    command = [sys.executable, "-m", "secateur", "status"]
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)


def test_a_run_says_what_it_does_and_another_shell_can_ask(folder):
    asked = status(folder)
    assert asked.returncode == 1 and asked.stderr.startswith("error: no run of any study has begun")

    run = snakemake(folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    told = folder / "logs/mine/first.progress.json"
    wait_for(lambda: told.exists() and '"done": 29' in told.read_text())
    wait_for(lambda: (folder / "logs/mine/bad.progress.json").exists())
    wait_for(lambda: "failed" in (folder / "logs/mine/bad.progress.json").read_text())
    wait_for(lambda: (folder / "logs/mine/progress.txt").exists())
    said = status(folder).stdout
    assert said.startswith("Study mine: ") and "0 of 3 jobs" in said and "1 failed" in said
    assert "first: steps 29 of 100, loss 2.50, " in said and "failed: bad, see logs/mine/bad.log" in said
    assert "next in the report: the end, in " in said

    (folder / "go").touch()
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "Error in rule bad" in said, "errors are shown as ever"
    assert "rule first:" not in said and "steps (" not in said, "and no list of jobs"
    lines = [line for line in said.splitlines() if " % done (" in line]
    assert len(lines) == 1 and "first: " in lines[0], "a line a minute"
    assert "2 of 3 jobs done in " in said and "failed: bad, see logs/mine/bad.log" in said
    log = (folder / "logs/mine/progress.txt").read_text()
    assert lines[0] in log and "2 of 3 jobs done" in log
    assert "The run has ended" in status(folder).stdout
    assert json.loads((folder / "logs/mine/last.progress.json").read_text()).keys() == {"started", "ended"}


def test_a_run_that_goes_on_has_a_plan_of_what_is_left(folder):
    (folder / "go").touch()
    snakemake(folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait(120)
    assert (folder / "logs/mine/first.progress.json").exists()
    run = snakemake(folder, "--forcerun", "bad", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, _ = run.communicate(timeout=120)
    plan = json.loads((folder / "logs/mine/plan.json").read_text())
    assert [job["name"] for job in plan["jobs"]] == ["bad"] and "0 of 1 jobs done" in said


def test_a_look_is_as_snakemake_shows_it(folder):
    run = snakemake(folder, "-n", "-p", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 0 and "rule last:" in said and "touch last" in said and "This was a dry-run" in said
    assert not (folder / "logs").exists()


def test_on_a_terminal_lines_are_drawn_anew(folder):
    ours, its = pty.openpty()
    run = snakemake(folder, stdout=its, stderr=its, stdin=subprocess.DEVNULL)
    os.close(its)
    wait_for(lambda: (folder / "logs/mine/progress.txt").exists())
    (folder / "go").touch()
    seen = io.BytesIO()
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen.write(part)
    run.wait(120)
    said = seen.getvalue().decode()
    assert "Study mine: " in said and "\033[J" in said and "2 of 3 jobs done in " in said
