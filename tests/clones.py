"""Copies of the tree, to run studies in, for tests."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Clone:
    """A copy of the tree in `folder`, with the environment of this interpreter."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Clone":
        """Copy what git would, changed or not, into a new folder."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        files = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        for name in filter(None, files.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        return cls(folder)

    def copy(self, folder: Path) -> "Clone":
        """This clone with its results, in another folder. Modification times stay: nothing has to run again."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Clone(folder)

    def start(self, *arguments: str, study: str = "smoke", profile: str = "", **options: Any) -> subprocess.Popen:
        """Start the launcher; `arguments` are Snakemake's."""
        command = [sys.executable, "workflow/run.py", "--study", study]
        command += ["--profile", profile] if profile else ["--cores", "2"]
        # A test may itself have been started in the background, where children ignore SIGINT.
        return subprocess.Popen(
            [*command, "--", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            **options,
        )

    def launch(self, *arguments: str, seconds: float = 5400, check: bool = True, **options: Any) -> tuple[int, str]:
        """Run the launcher to its end: its exit status, which must be 0 if `check`, and what it said."""
        return finished(self.start(*arguments, **options), seconds, check)

    def repeatable_study(self) -> str:
        """Write the smoke study without the order of heads that goes by measured times, and so by chance; its path."""
        study = yaml.safe_load((self.folder / "workflow/studies/smoke.yaml").read_text()) | {"device": "cpu"}
        for entry in study["heads"]:
            entry["policies"].remove("latency-aware")
        path = self.folder / "repeatable.yaml"
        path.write_text(yaml.safe_dump(study))
        return str(path)

    def planned(self, *arguments: str, study: str = "smoke") -> dict[str, int]:
        """How many jobs of each rule a dry run announces, but for `all`."""
        jobs = dict(re.findall(r"^(\w+) +(\d+)$", self.launch("-n", *arguments, study=study)[1], re.MULTILINE))
        return {rule: int(count) for rule, count in jobs.items() if rule not in ("all", "total")}

    def git(self, *words: str) -> str:
        """What git says in the clone."""
        command = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org", *words]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True).stdout

    def commit(self) -> None:
        """Put all that is in the clone under git."""
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-qm", "Copy")

    @property
    def environment(self) -> dict[str, str]:
        """The clone's own package comes first, whatever this interpreter has installed."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"PYTHONPATH": str(self.folder / "src"), "PATH": path, "OMP_NUM_THREADS": "1"}

    def snakemake(self) -> int:
        """The process of Snakemake, which holds the folder's lock."""
        return int((self.folder / ".snakemake" / "secateur.lock").read_text().split()[0])


def finished(process: subprocess.Popen, seconds: float = 5400, check: bool = True) -> tuple[int, str]:
    """Wait for a launcher: its exit status, which must be 0 if `check`, and what it said."""
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
        raise AssertionError(f"not finished in {seconds:g} s:\n{said}") from None
    assert not check or process.returncode == 0, said
    return process.returncode, said


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Wait until `condition` is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain"
        time.sleep(0.02)
    return value


def kill_tree(pid: int) -> None:
    """SIGKILL a process and all its descendants, the parents first so that none is replaced."""
    below = children(pid)
    os.kill(pid, signal.SIGKILL)
    for child in below:
        kill_tree(child)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):  # every thread lists those that it started
        with suppress(OSError):  # it may have ended
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found
