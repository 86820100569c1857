"""`make results VENV=none`: the active environment is used if it has what the code needs, and nothing is installed."""

import importlib.util
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def check():
    """The module envs/check.py."""
    spec = importlib.util.spec_from_file_location("check", ROOT / "envs" / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_this_environment_will_do(check):
    """The pinned one lies within the ranges; lexicon search is left out where Python is too new for it."""
    found = check.problems([*check.requirements(ROOT / "pyproject.toml"), *check.ESPNET])
    assert [problem for problem in found if not problem.startswith("python: ")] == []


def test_what_is_missing_or_too_old_is_named(check, monkeypatch):
    versions = {"torch": "2.5.1+cu124", "numpy": "2.1.0"}

    def version(name):
        if name in versions:
            return versions[name]
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(check.metadata, "version", version)
    monkeypatch.setattr(check, "other_python", lambda: "")
    needed = ["torch>=2.6", "numpy>=2.0", "jiwer>=4.0", 'flashlight-text>=0.0.7; python_version < "3"']
    assert check.problems(needed) == ["torch>=2.6: 2.5.1+cu124 is installed", "jiwer>=4.0: missing"]


def test_a_python_that_jobs_would_not_call_is_named(check, monkeypatch, tmp_path):
    lonely = tmp_path / "python3"
    lonely.symlink_to(sys.executable)
    monkeypatch.setattr(check.sys, "executable", str(lonely))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (
        check.other_python()
        == f"python: missing, which jobs call, is not {lonely}; activate an environment that has it"
    )
    (tmp_path / "python").symlink_to(lonely)
    assert check.other_python() == ""


def make(*words, path):
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *words], cwd=ROOT, env=variables | {"PATH": path}, capture_output=True, text=True)


def test_make_runs_in_the_active_environment(tmp_path):
    (tmp_path / "python").write_text('#!/bin/sh\necho "called with $* and $PYTHONPATH" >> "$0.log"\n')
    (tmp_path / "python").chmod(0o755)
    answer = make("results", "VENV=none", "STUDY=smoke", "ARGS=-n", path=f"{tmp_path}:{os.environ['PATH']}")
    assert answer.returncode == 0, answer.stderr
    first, second = (tmp_path / "python.log").read_text().splitlines()
    assert first.startswith("called with envs/check.py and")
    assert second.startswith(f"called with workflow/run.py --study smoke -- -n and {ROOT}/src")


def test_make_ends_where_something_is_missing(tmp_path):
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    (tmp_path / "python").chmod(0o755)
    answer = make("results", "VENV=none", path=f"{tmp_path}:{os.environ['PATH']}")
    assert answer.returncode == 2 and "error: the active environment (" in answer.stderr
    assert "packaging: missing" in answer.stderr and not answer.stdout
