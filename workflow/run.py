"""Run a study: `make results` in Python. What follows `--` goes to Snakemake.

One run at a time may work in the folder, and it cleans up after one that was killed: jobs that still run are stopped,
here or on a cluster, and Snakemake's lock is taken away.
"""

import argparse
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from secateur.core import mps, site
from secateur.core.asked import Asked, gpu_share, snakemake_command
from secateur.core.errors import SecateurError

ROOT = Path(__file__).resolve().parents[1]
RUN = "SECATEUR_RUN"  # in the environment of Snakemake and its jobs: the folder that they work in
SECONDS_TO_STOP = 10
SECONDS_TO_CANCEL = 120
SLURM_LOGS = Path(".snakemake", "slurm_logs")  # there as soon as a job is submitted
SLURM_RUN = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")  # how the plugin's job names end


def main(arguments: list[str] | None = None) -> int:
    """Run Snakemake on a study; return its exit status (128 + n after a signal n)."""
    options = parse(arguments)
    started = time.time()
    try:
        directory = options.directory.resolve()
        configuration = study_file(directory, options.study)
        name = study_name(configuration)
        chosen = ["--profile", str(profile(directory, options.profile))] if options.profile else []
        asked = Asked.of(options.snakemake, chosen)
        command = snakemake_command(directory, configuration, options.cores, asked)
        if asked.looks_only:
            return run(command, directory)
        site.check_slurm(directory, command)
        with only_run(directory) as lock:
            snakemake_by_hand(directory)
            stop_jobs_left_over(directory)
            if not asked.touches:
                results_with_records(directory, name)
            unlock(command, directory)
            share = 1 if options.profile else gpu_share(directory, configuration)
            with mps.shared(share, environment(directory)):
                status = run(command, directory, lock)
    except SecateurError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    report = directory / "results" / name / "report" / "index.html"
    if status:
        print("The study is not finished (see above). Give the same command again to resume it.", file=sys.stderr)
    elif report.is_file() and (not asked.targets or report.stat().st_mtime >= started):
        print(f"Report: {report}")
    return status


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line; `snakemake` holds what follows `--`."""
    parser = argparse.ArgumentParser(
        usage="run.py [--study STUDY] [--profile PROFILE] [--cores CORES] [--directory DIRECTORY] [-- ARGUMENT ...]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Studies: {known(ROOT)}.",
    )
    parser.add_argument("--study", default="default", help="name of a study, or path of a configuration file (default)")
    parser.add_argument("--profile", help="how to run on a cluster: a name in profiles/, or a folder (on this machine)")
    parser.add_argument("--cores", type=int, help="CPU cores to use at a time (all that this process may use)")
    parser.add_argument("--directory", type=Path, default=ROOT, help="the folder with the Snakefile (this clone)")
    parser.add_argument("snakemake", nargs="*", metavar="ARGUMENT", help="argument of Snakemake")
    return parser.parse_args(arguments)


def known(directory: Path) -> str:
    """The names of the studies, for messages."""
    return ", ".join(["default", *sorted(path.stem for path in directory.glob("workflow/studies/*.yaml"))])


def study_file(directory: Path, study: str) -> Path:
    """The configuration file of a study, named or given by its path."""
    candidates = [directory / "workflow" / "studies" / f"{study}.yaml", Path(os.path.expanduser(study))]
    if study == "default":
        candidates.insert(0, directory / "config.yaml")
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    raise SecateurError(
        f"no study is named {study!r}, and no file either; known: {known(directory)}; "
        "or give the path of a configuration file: make results STUDY=my/study.yaml"
    )


def profile(directory: Path, name: str) -> Path:
    """The folder of a profile, named or given by its path, relative to `directory` if it is in it."""
    for candidate in (directory / "profiles" / name, Path(os.path.expanduser(name)).resolve()):
        if (candidate / "config.yaml").is_file():
            return candidate.relative_to(directory) if candidate.is_relative_to(directory) else candidate
    names = ", ".join(sorted(path.parent.name for path in directory.glob("profiles/*/config.yaml")))
    raise SecateurError(
        f"no profile is named {name!r}, and no folder with a config.yaml either; known: {names}; "
        "or give the path of a folder: make results PROFILE=my/profile"
    )


class UniqueKeys(yaml.SafeLoader):
    """A reader of YAML that refuses a key that is there twice; of others, the last one counts."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.YAMLError(f"{twice!r} is there twice, in line {node.start_mark.line + 1} or below")
        return super().construct_mapping(node, deep)


def study_name(configuration: Path) -> str:
    """The name of a study: its results are in `results/{name}`."""
    try:
        content = yaml.load(configuration.read_text(encoding="utf-8"), UniqueKeys)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SecateurError(f"{configuration}: not valid YAML ({error})") from error
    name = content.get("study") if isinstance(content, dict) else None
    if not isinstance(name, str) or not name:
        raise SecateurError(f"{configuration}: its key `study` is {name!r}; it must be the study's name: study: mine")
    return name


@contextlib.contextmanager
def only_run(directory: Path) -> Iterator[int]:
    """Hold the folder's lock and yield its file descriptor.

    Snakemake inherits the descriptor (its jobs do not), so the lock is held exactly as long as the launcher or its
    Snakemake lives, however they end: it is never stale.
    """
    path = directory / ".snakemake" / "secateur.lock"
    path.parent.mkdir(exist_ok=True)
    with open(path, "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid, _, host = lock.read().strip().partition(" ")
            raise SecateurError(
                f"another run (process {pid} on {host}) works in {directory}; wait for it, or stop it with its jobs: "
                f"kill -INT -- -{pid}"  # Snakemake leads a process group
            ) from None
        write_holder(lock.fileno(), os.getpid())
        yield lock.fileno()


def write_holder(lock: int, pid: int) -> None:
    """Note in the lock's file which process holds it, and on which host: login nodes share the folder."""
    os.truncate(lock, 0)
    os.write(lock, f"{pid} {socket.gethostname()}".encode())


def snakemake_by_hand(directory: Path) -> None:
    """Raise SecateurError if a Snakemake that was not started by this launcher works in the folder."""
    if not locked(directory):
        return
    for pid in processes():
        words = read(pid, "cmdline").split("\0")[:3]
        if working_folder(pid) != directory or not any(Path(word).name == "snakemake" for word in words):
            continue
        if f"{RUN}={directory}" not in read(pid, "environ").split("\0"):  # which a job of SLURM's has, say
            raise SecateurError(f"Snakemake was started by hand (process {pid}) and works in {directory}; wait for it")


def locked(directory: Path) -> bool:
    """Whether Snakemake's own lock is there."""
    locks = directory / ".snakemake" / "locks"
    return locks.is_dir() and any(locks.iterdir())


def results_with_records(directory: Path, name: str) -> None:
    """Raise SecateurError for results without Snakemake's records: it would take them for those of this very code."""
    records = directory / ".snakemake" / "metadata"
    if records.is_dir() and any(records.iterdir()):
        return
    if next((directory / "results" / name).rglob("run.json"), None):
        raise SecateurError(
            f"results/{name} is here, but not the records of which code and settings made it, .snakemake/metadata: "
            f"copy them, too, or delete results/{name}; or, if this very code and configuration made it, record that: "
            "make results ARGS='--touch --forceall', with the same STUDY"
        )


def unlock(command: list[str], directory: Path) -> None:
    """Take Snakemake's lock away after a run that was killed. Call it only with the folder's lock held."""
    if not locked(directory):
        return
    print("The run before was killed; going on from where it was.", flush=True)
    # What makes this fail (an error in the configuration, say) makes the run itself fail, too, and there it is shown.
    subprocess.run([*command, "--unlock"], cwd=directory, env=environment(directory), capture_output=True)


def stop_jobs_left_over(directory: Path) -> None:
    """Stop the jobs that outlived a killed Snakemake. Call it only when no Snakemake works in the folder."""
    stop_processes(directory)  # first: one of them may be submitting a job
    if (directory / SLURM_LOGS).exists():
        cancel_jobs(directory)


def stop_processes(directory: Path) -> None:
    """Stop the jobs on this machine, but for those of SLURM, whose processes are SLURM's business."""
    tag = f"{RUN}={directory}"

    def left_over() -> list[int]:
        return [pid for pid in processes() if pid != os.getpid() and mine(read(pid, "environ").split("\0"))]

    def mine(variables: list[str]) -> bool:
        return tag in variables and slurm_job(variables) == slurm_job([f"{k}={v}" for k, v in os.environ.items()])

    def slurm_job(variables: list[str]) -> str:
        return next((variable for variable in variables if variable.startswith("SLURM_JOB_ID=")), "")

    if found := left_over():
        print(f"Stopping {len(found)} processes that a killed run left behind.", flush=True)
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + SECONDS_TO_STOP
        for pid in left_over():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)
        while left_over() and time.monotonic() < deadline:
            time.sleep(0.1)


def cancel_jobs(directory: Path) -> None:
    """Cancel this user's SLURM jobs of Snakemake that work in the folder, and wait until they have ended.

    Raises SecateurError when SLURM does not answer, or a job does not end: it would race the new run.
    """
    if not shutil.which("squeue"):
        return
    if found := slurm_jobs(directory):
        print(f"Cancelling {len(found)} SLURM jobs that a killed run left behind.", flush=True)
        slurm("scancel", *found)
    deadline = time.monotonic() + SECONDS_TO_CANCEL
    while found := slurm_jobs(directory):
        if time.monotonic() > deadline:
            raise SecateurError(
                f"SLURM jobs of an earlier run do not end: {' '.join(found)}; wait for them (squeue --me), or ask the "
                "cluster's administrators about their nodes, and run the same command again"
            )
        time.sleep(1)


def slurm_jobs(directory: Path) -> list[str]:
    """Numbers of this user's jobs that wait, run or are ending, were submitted by Snakemake, and work in the folder."""
    lines = slurm("squeue", "--noheader", f"--user={os.getuid()}", "--format=%A|%j|%Z").splitlines()
    jobs = [line.split("|", 2) for line in lines]
    return [number for number, name, folder in jobs if folder == str(directory) and SLURM_RUN.search(name)]


def slurm(*command: str) -> str:
    """What a command of SLURM says. Raises SecateurError if it fails or does not answer."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_CANCEL)
    except subprocess.TimeoutExpired:
        problem = f"no answer in {SECONDS_TO_CANCEL} s"
    else:
        if answer.returncode == 0:
            return answer.stdout
        problem = answer.stderr.strip()
    raise SecateurError(
        f"{command[0]}: {problem}; jobs of an earlier run may still run, so wait until SLURM answers and run the same "
        "command again"
    )


def processes() -> list[int]:
    """The processes of this machine."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def read(pid: int, file: str) -> str:
    """A file under /proc; empty where it is another user's, or the process has ended."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes().decode(errors="surrogateescape")
    except OSError:
        return ""


def working_folder(pid: int) -> Path | None:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return None


def environment(directory: Path = ROOT) -> dict[str, str]:
    """The environment of Snakemake in a folder: `python` is this interpreter, and `sacct` the one in workflow/slurm.

    Where the home folder is missing or cannot be written, caches are in the folder's .snakemake. Where a site has
    environment modules, every bash of a job defines `module`: sh, of make and of sbatch, loses it.
    """
    folders = [Path(__file__).resolve().parent / "slurm", Path(sys.executable).parent]
    modules = Path(os.environ.get("MODULESHOME", "/nowhere"), "init", "bash")
    defined = {"BASH_ENV": str(modules)} if modules.is_file() else {}
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])
    return defined | os.environ | site.own_caches(directory) | {"PATH": path}


def run(command: list[str], directory: Path, lock: int | None = None) -> int:
    """Run Snakemake to its end and return its exit status.

    Snakemake waits for its jobs before it ends and does not stop them itself. So it leads a process group with them,
    and whatever is meant to end this process (Ctrl-C, SIGTERM, a closed terminal) becomes one SIGINT to the group.
    """
    previous = {}
    snakemake = None

    def interrupt(number, frame):
        if snakemake is None:
            raise KeyboardInterrupt
        if snakemake.returncode is None:
            os.killpg(snakemake.pid, signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            previous[number] = signal.signal(number, interrupt)
    try:
        if lock is None:
            snakemake = subprocess.Popen(command, cwd=directory, env=environment(directory), process_group=0)
        else:
            tagged = environment(directory) | {RUN: str(directory)}
            snakemake = subprocess.Popen(command, cwd=directory, env=tagged, pass_fds=[lock], process_group=0)
            write_holder(lock, snakemake.pid)
        status = snakemake.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if status < 0:
        if lock is not None:
            stop_jobs_left_over(directory)
        return 128 - status
    return status


if __name__ == "__main__":
    sys.exit(main())
