"""The launcher, on a workflow of two rules: studies, locks, and what a killed run leaves behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from clones import ROOT, wait_for

from secateur.core.errors import SecateurError

LAUNCHER = ROOT / "workflow" / "run.py"


def launch(folder, *arguments, study="default"):
    """Start the launcher."""
    command = [sys.executable, LAUNCHER, "--directory", folder, "--study", study, "--cores", "1", "--", *arguments]
    # A test may itself have been started in the background, where children ignore SIGINT, or with nohup.
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=ended_by_signals
    )


def ended_by_signals():
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def finished(process):
    """Wait for the launcher; its exit status and what it said."""
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


def job_of(folder):
    """Wait for the job to start; its process."""
    return int(wait_for(lambda: (folder / "started").exists() and (folder / "started").read_text()))


def holder(folder):
    """The process that holds the folder's lock."""
    return int((folder / ".snakemake" / "secateur.lock").read_text().split()[0])


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_study_runs_to_its_report_and_arguments_reach_snakemake(folder):
    (folder / "go").touch()
    report = folder / "results" / "another" / "report" / "index.html"

    status, said = finished(launch(folder, "--dry-run", study="other"))
    assert status == 0 and "This was a dry-run" in said and not report.exists()
    assert "Report:" not in said and not (folder / ".snakemake" / "secateur.lock").exists()

    status, said = finished(launch(folder, study="other"))
    assert status == 0 and said.splitlines()[-1] == f"Report: {report}"
    assert report.read_text() == "made\n" and not (folder / "results" / "default").exists()

    # Nothing to do: the report is still the result, but not that of another target.
    assert finished(launch(folder, study="other"))[1].splitlines()[-1] == f"Report: {report}"
    assert "Report:" not in finished(launch(folder, "results/another/job", study="other"))[1]
    (folder / "results" / "another" / "job").write_text("edited")
    assert "Report:" in finished(launch(folder, str(report.relative_to(folder)), study="other"))[1], "it is new"


def test_results_without_records_of_their_code_are_refused(folder):
    """Copied from another clone, say: Snakemake would take them for its own."""
    (folder / "go").touch()
    assert finished(launch(folder))[0] == 0
    (folder / "results" / "default" / "job.d").mkdir()
    (folder / "results" / "default" / "job.d" / "run.json").write_text("{}")
    assert finished(launch(folder))[0] == 0
    shutil.rmtree(folder / ".snakemake")
    status, said = finished(launch(folder))
    assert status == 1 and said.count("\n") == 1
    assert said.startswith("error: results/default is here, but not the records of which code and settings made it")
    assert finished(launch(folder, "--touch", "--forceall"))[0] == 0
    assert finished(launch(folder))[0] == 0


def test_a_failed_job_gives_a_status_and_no_report(folder):
    (folder / "go").touch()
    status, said = finished(launch(folder, study="bad"))
    assert (
        status == 1
        and "Report:" not in said
        and said.splitlines()[-1].endswith("Give the same command again to resume it.")
    )


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, None], ids=lambda one: one and one.name
)
def test_one_run_at_a_time_and_a_signal_stops_its_job(number, folder):
    first = launch(folder)
    job = job_of(folder)
    status, said = finished(launch(folder))
    assert status == 1 and said.startswith("error: another run (process ") and said.count("\n") == 1

    snakemake = int(said.partition("(process ")[2].split()[0])
    told = said.rpartition("stop it with its jobs: ")[2].split()
    assert f" on {socket.gethostname()}) works in" in said
    assert "snakemake" in Path(f"/proc/{snakemake}/cmdline").read_text()
    if number is None:
        subprocess.run(told, check=True)
    else:
        first.send_signal(number)
    status, said = finished(first)
    assert status != 0 and not alive(job) and not alive(snakemake)

    (folder / "go").touch()
    status, said = finished(launch(folder))
    assert status == 0 and "killed" not in said


def test_a_run_that_was_killed_with_all_its_parents_is_mended_by_the_next(folder):
    first = launch(folder)
    job = job_of(folder)
    snakemake = holder(folder)
    first.kill()
    first.wait()
    status, said = finished(launch(folder))
    assert status == 1 and f"process {snakemake}" in said, "Snakemake lives on, and so does its lock"

    os.kill(snakemake, signal.SIGKILL)
    wait_for(lambda: not alive(snakemake))
    assert alive(job) and any((folder / ".snakemake" / "locks").iterdir())
    (folder / "started").unlink()
    second = launch(folder)
    assert job_of(folder) != job and not alive(job)
    (folder / "go").touch()
    status, said = finished(second)
    assert status == 0 and "left behind" in said and "The run before was killed" in said
    assert (folder / "results" / "default" / "report" / "index.html").exists()


def test_jobs_do_not_outlive_a_killed_snakemake(folder):
    run = launch(folder)
    job = job_of(folder)
    os.kill(holder(folder), signal.SIGKILL)
    status, said = finished(run)
    assert status == 128 + signal.SIGKILL and not alive(job) and "left behind" in said


def test_a_lock_of_a_snakemake_started_by_hand_stays(folder, launcher):
    lock = folder / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("results/default/job\n")
    by_hand = subprocess.Popen(["snakemake", "60"], executable="/bin/sleep", cwd=folder)
    try:
        wait_for(Path(f"/proc/{by_hand.pid}/cmdline").read_text)  # empty for a moment after exec
        with pytest.raises(SecateurError, match=rf"started by hand \(process {by_hand.pid}\)"):
            launcher.snakemake_by_hand(folder)
    finally:
        by_hand.kill()
        by_hand.wait()
    assert lock.exists()
    tagged = os.environ | {launcher.RUN: str(folder)}  # a job of an earlier run on SLURM, on this very machine
    of_a_job = subprocess.Popen(["snakemake", "60"], executable="/bin/sleep", cwd=folder, env=tagged)
    try:
        wait_for(Path(f"/proc/{of_a_job.pid}/cmdline").read_text)
        launcher.snakemake_by_hand(folder)
    finally:
        of_a_job.kill()
        of_a_job.wait()


def test_a_study_is_found_by_name_or_path(folder, launcher, monkeypatch):
    monkeypatch.chdir(folder)
    mine = folder / "mine.yaml"
    mine.write_text("study: mine\n")
    assert launcher.study_file(folder, "default") == folder / "config.yaml"
    assert launcher.study_file(folder, "other") == folder / "workflow" / "studies" / "other.yaml"
    assert launcher.study_file(folder, "mine.yaml") == mine == launcher.study_file(folder, str(mine))
    with pytest.raises(SecateurError, match=r"'othr'.*known: default, bad, other;"):
        launcher.study_file(folder, "othr")


@pytest.mark.parametrize("text", ["seeds: [1]\n", "study: 3\n", "study:\n", "- study\n", "", "study: [\n"])
def test_a_configuration_without_a_name_is_refused(text, tmp_path, launcher):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SecateurError, match=r"mine\.yaml: "):
        launcher.study_name(path)


@pytest.mark.parametrize(
    ("arguments", "looks"),
    [
        (["-np"], True), (["-pn"], True), (["-kFn"], True), (["-n", "models"], True), (["--report=page.html"], True),
        (["-D"], True), (["-l"], True), (["-Fl"], True), (["-p"], False), (["-kp"], False), (["-call"], False),
        (["-j4", "-F"], False), (["-R", "n"], False), (["models"], False), ([], False),
    ],
)  # fmt: skip
def test_flags_that_only_look_are_found_alone_and_together(arguments, looks, launcher):
    assert launcher.Asked.of(arguments).looks_only == looks


def test_arguments_are_read_as_snakemake_reads_them(launcher, capsys):
    """The value of an option is no target, and an option that does not exist ends it at once."""
    asked = launcher.Asked.of(["-R", "train", "--touch", "--", "models", "data"])
    assert (asked.targets, asked.touches, asked.looks_only) == (["models", "data"], True, False)
    assert not launcher.Asked.of(["--forcerun", "train"]).targets and not launcher.Asked.of(["-k"]).touches
    with pytest.raises(SystemExit) as ended:
        launcher.Asked.of(["--dry-rnu"])
    assert ended.value.code == 2 and "--dry-rnu" in capsys.readouterr().err


def test_a_profile_is_found_by_name_or_path(folder, launcher, tmp_path):
    (folder / "profiles" / "slurm").mkdir()
    (folder / "profiles" / "slurm" / "config.yaml").write_text("jobs: 3\n")
    assert launcher.profile(folder, "slurm") == Path("profiles", "slurm")
    assert launcher.profile(folder, str(folder / "profiles" / "slurm")) == Path("profiles", "slurm")
    outside = tmp_path / "my profile"
    outside.mkdir()
    (outside / "config.yaml").write_text("jobs: 3\n")
    assert launcher.profile(folder, str(outside)) == outside
    with pytest.raises(SecateurError, match=r"'slrum'.*known: default, slurm;"):
        launcher.profile(folder, "slrum")


def test_gpu_jobs_are_as_many_as_there_are_gpus(folder, launcher, monkeypatch):
    default, other = folder / "config.yaml", folder / "workflow" / "studies" / "other.yaml"

    def arguments(gpus, configuration, *given):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
        return without_logger(launcher.snakemake_command(folder, configuration, 1, launcher.Asked.of(given)))[5:]

    assert arguments("0,1", default, "models") == ["models", "--resources", "gpu=2"]
    assert arguments("3", other) == ["--resources", "gpu=1", "--configfile", str(other)]
    assert arguments("", default) == []
    for mine in (
        ["--resources", "gpu=4"],
        ["--resources=gpu=4"],
        ["--executor", "slurm"],
        ["--profile=profiles/slurm"],
    ):
        assert arguments("0", default, *mine) == mine, "the user's own limit, or a cluster's GPUs"


def without_logger(command):
    """A command line without the words that ask for the live view, which are there once."""
    place = command.index("--logger")
    assert command.count("--logger") == 1 and command[place + 1] == "secateur"
    return command[:place] + command[place + 2 :]


def test_a_look_has_no_live_view_and_one_that_is_asked_for_is_not_added(folder, launcher):
    for given, views in ((["-n"], 0), (["--logger", "secateur"], 1), ([], 1)):
        command = launcher.snakemake_command(folder, folder / "config.yaml", 1, launcher.Asked.of(given))
        assert command.count("--logger") == views


def test_cores_limit_this_machine_and_not_a_cluster(folder, launcher, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    default, other = folder / "config.yaml", folder / "workflow" / "studies" / "other.yaml"

    def arguments(configuration, cores, *given):
        return without_logger(launcher.snakemake_command(folder, configuration, cores, launcher.Asked.of(given)))[3:]

    assert arguments(default, None) == ["--cores", str(len(os.sched_getaffinity(0)))]
    assert arguments(default, 3, "models") == ["--cores", "3", "models"]
    assert arguments(default, None, "--profile=profiles/slurm") == ["--profile=profiles/slurm"]
    assert arguments(other, 3, "models") == ["--cores", "3", "models", "--configfile", str(other)]
