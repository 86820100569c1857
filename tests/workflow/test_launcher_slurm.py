"""The launcher on a cluster: modules of the site, SLURM's commands, jobs that outlived their run."""

import os
import subprocess

import pytest

from secateur.core.errors import SecateurError

UUID = "baeb4167-7161-57da-99ff-e28818aa2bf4"
"""A run of Snakemake's, as it names its jobs."""


def test_jobs_know_the_modules_of_the_site(launcher, tmp_path, monkeypatch):
    monkeypatch.delenv("BASH_ENV", raising=False)
    monkeypatch.setenv("MODULESHOME", str(tmp_path))
    assert "BASH_ENV" not in launcher.environment()
    (tmp_path / "init").mkdir()
    (tmp_path / "init" / "bash").write_text('module() { echo "loads $2"; }')
    command = ["sh", "-c", "bash -c 'module load speech'"]
    answer = subprocess.run(command, env=launcher.environment(), capture_output=True, text=True)
    assert answer.stdout == "loads speech\n"
    monkeypatch.setenv("BASH_ENV", "/mine")
    assert launcher.environment()["BASH_ENV"] == "/mine"


@pytest.fixture
def pretended_slurm(tmp_path, monkeypatch):
    """`squeue` and `scancel` that work on a file with a line a job: number, name, folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    jobs = tmp_path / "jobs"
    scripts = {
        "squeue": f'[ "$*" = "--noheader --user={os.getuid()} --format=%A|%j|%Z" ] && cat "{jobs}"',
        "scancel": f'for job; do sed -i "/^$job|/d" "{jobs}"; done',
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return jobs


@pytest.mark.parametrize("sacct", ["echo '7|RUNNING'", "exit 1", ""])
def test_where_sacct_fails_squeue_answers(launcher, tmp_path, monkeypatch, sacct):
    """As Snakemake asks it."""
    scripts = {"squeue": 'echo "$@"'} | ({"sacct": sacct} if sacct else {})
    for name, script in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/nowhere")
    environment = launcher.environment()

    def answer(command: str) -> str:
        words = command.split()
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    where = answer("sacct -j 7 -n -X -o nodelist%-256")
    states = answer(
        "sacct -X --parsable2 --clusters all --noheader --format=JobIdRaw,State "
        f"--starttime 2026-01-01T00:00 --endtime now --name {UUID}"
    )
    if "7" in sacct:
        assert where == states == "7|RUNNING"
    else:
        assert where == "--noheader --states=all --format=%N -j 7"
        assert states == f"--noheader --states=all --format=%i|%T --name {UUID}"
        with pytest.raises(subprocess.CalledProcessError):
            answer("sacct -nu somebody -o Account%256")


def test_jobs_on_a_cluster_that_outlived_their_snakemake_are_cancelled(folder, launcher, pretended_slurm, capsys):
    others = [f"3|{UUID}|{folder}/below", f"4|an editor|{folder}", f"5|{UUID}|/else|where"]
    pretended_slurm.write_text("\n".join([f"1|{UUID}|{folder}", f"22|mine_{UUID}|{folder}", *others]) + "\n")
    launcher.stop_jobs_left_over(folder)
    assert len(pretended_slurm.read_text().splitlines()) == 5, "no run here has used SLURM"

    (folder / launcher.SLURM_LOGS).mkdir(parents=True)
    launcher.stop_jobs_left_over(folder)
    assert pretended_slurm.read_text().splitlines() == others
    assert capsys.readouterr().out == "Cancelling 2 SLURM jobs that a killed run left behind.\n"


def test_a_run_does_not_begin_beside_jobs_that_may_still_run(folder, launcher, pretended_slurm, monkeypatch):
    (folder / launcher.SLURM_LOGS).mkdir(parents=True)
    squeue, scancel = (pretended_slurm.parent / "bin" / name for name in ("squeue", "scancel"))
    pretended_slurm.write_text(f"7|{UUID}|{folder}\n")
    scancel.write_text("#!/bin/sh\n")
    monkeypatch.setattr(launcher, "SECONDS_TO_CANCEL", 0.5)
    with pytest.raises(SecateurError, match=r"do not end: 7; wait for them"):
        launcher.stop_jobs_left_over(folder)
    squeue.write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n")
    with pytest.raises(SecateurError, match=r"^squeue: Unable to contact slurm controller; jobs of an earlier run"):
        launcher.stop_jobs_left_over(folder)
    squeue.write_text("#!/bin/sh\nsleep 60\n")
    with pytest.raises(SecateurError, match=r"^squeue: no answer in 0\.5 s"):
        launcher.stop_jobs_left_over(folder)


def test_processes_of_slurm_jobs_are_left_to_slurm(folder, launcher):
    variables = os.environ | {launcher.RUN: str(folder)}
    variables.pop("SLURM_JOB_ID", None)
    processes = [subprocess.Popen(["sleep", "60"], env=variables | more) for more in ({}, {"SLURM_JOB_ID": "17"})]
    try:
        launcher.stop_processes(folder)
        assert processes[0].wait(10) and processes[1].poll() is None
    finally:
        for process in processes:
            process.kill()
            process.wait()
