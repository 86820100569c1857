"""Machines that lack what most have: a home folder that can be written, SLURM."""

import importlib.util
import os
import subprocess
import sys

import pytest
import yaml
from test_user_data import ROOT, STUDY, clone  # noqa: F401

from secateur.core import site
from secateur.core.errors import SecateurError
from secateur.core.files import write_text


@pytest.fixture
def without_slurm(monkeypatch, tmp_path):
    """A machine on which no command of SLURM is found."""
    monkeypatch.setattr(site.shutil, "which", lambda name: None)


def launcher():
    spec = importlib.util.spec_from_file_location("launcher", ROOT / "workflow/run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(clone, *arguments, **environment):  # noqa: F811
    """Run the launcher on the study of a user's corpus; return its status and what it printed."""
    write_text(clone / "study.yaml", yaml.safe_dump(STUDY))
    command = [sys.executable, "workflow/run.py", "--directory", ".", "--study", "study.yaml", *arguments]
    variables = {key: value for key, value in os.environ.items() if key != "XDG_CACHE_HOME"} | environment
    variables["PYTHONPATH"] = str(clone / "src")
    answer = subprocess.run(command, cwd=clone, env=variables, capture_output=True, text=True)
    return answer.returncode, answer.stdout + answer.stderr


def test_without_a_home_folder_that_can_be_written_caches_are_in_the_clone(clone):  # noqa: F811
    # Nobody, root neither, can write below a file.
    status, said = run(clone, "--cores", "1", "--", "data/mine/en/fetched.json", HOME=str(clone / "a.wav"))
    assert status == 0, said
    assert (clone / ".snakemake/cache/snakemake").is_dir() and "Traceback" not in said


def test_caches_are_where_they_are_usually_where_that_can_be_written(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert site.own_caches(tmp_path / "clone") == {}
    (tmp_path / "file").touch()
    own = str(tmp_path / "clone/.snakemake/cache")
    for name, value in (("HOME", f"{tmp_path}/file"), ("XDG_CACHE_HOME", f"{tmp_path}/file/x"), ("HOME", "nowhere")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert site.own_caches(tmp_path / "clone")["XDG_CACHE_HOME"] == own
            assert launcher().environment(tmp_path / "clone")["XDG_CACHE_HOME"] == own


def test_a_profile_for_slurm_where_there_is_none_is_one_line_at_once(clone, tmp_path):  # noqa: F811
    (tmp_path / "empty").mkdir()
    status, said = run(clone, "--profile", "slurm", PATH=str(tmp_path / "empty"))
    assert status == 1 and not (clone / ".snakemake").exists(), said
    assert said.strip().splitlines() == [
        "error: jobs are to go to SLURM, but sbatch and sinfo are not on this machine; run this on the cluster's login "
        "node (`module load slurm`, where it is a module), or without PROFILE on this machine"
    ]


@pytest.mark.parametrize(
    "words", [["--executor", "slurm"], ["--executor=slurm"], ["-e", "slurm"], ["--profile=profiles/slurm"]]
)
def test_arguments_for_slurm_are_noticed_too(words, without_slurm):
    with pytest.raises(SecateurError, match="jobs are to go to SLURM"):
        site.check_slurm(ROOT, ["snakemake", *words])


@pytest.mark.parametrize(
    "words", [[], ["--executor", "local"], ["--profile", "profiles/default"], ["--profile", "none"]]
)
def test_others_need_no_slurm(words, without_slurm):
    site.check_slurm(ROOT, ["snakemake", *words])


def test_a_study_and_a_profile_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_text(tmp_path / "my.yaml", "study: mine\n")
    write_text(tmp_path / "site/config.yaml", "executor: slurm\n")
    assert launcher().study_file(ROOT, "~/my.yaml") == tmp_path / "my.yaml"
    assert launcher().profile(ROOT, "~/site") == tmp_path / "site"
