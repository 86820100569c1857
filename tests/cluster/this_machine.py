"""What a test cluster needs of the machine that it runs on: packages, commands, processes."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")  # a status of 101 keeps packages from starting their own daemons
FREEZER = Path("/sys/fs/cgroup/freezer")


class ClusterError(Exception):
    """The cluster cannot be brought up, or does not answer; the message says why."""


def install(packages: Sequence[str]) -> None:
    """Install Debian packages that are missing, without starting their services. Raises ClusterError."""
    missing = [name for name in packages if not installed(name)]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise ClusterError(f"the test cluster needs the Debian packages {', '.join(missing)}, and here is no apt-get")
    print(f"Installing {', '.join(missing)}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        answer = subprocess.run(command, env=environment, capture_output=True, text=True)
        if answer.returncode:  # perhaps it has no lists yet
            subprocess.run(["apt-get", "update", "-qq"], env=environment, capture_output=True)
            answer = subprocess.run(command, env=environment, capture_output=True, text=True)
    finally:
        if ours:
            POLICY.unlink()
    if answer.returncode:
        raise ClusterError(f"apt-get could not install {', '.join(missing)}:\n{answer.stderr[-2000:]}")


def installed(package: str) -> bool:
    """Whether a Debian package is installed."""
    try:
        return "installed" in run("dpkg-query", "-W", "-f=${db:Status-Status}", package).split()
    except ClusterError:
        return False


def loopback(host: str) -> None:
    """Make sure that the name of this machine means loopback, so that no daemon listens elsewhere."""
    try:
        address = socket.gethostbyname(host)
    except OSError:
        with open("/etc/hosts", "a", encoding="utf-8") as hosts:
            hosts.write(f"127.0.0.1 {host}\n")
        address = socket.gethostbyname(host)
    if not address.startswith("127."):
        raise ClusterError(f"{host} is {address}, so SLURM would listen on the network; run the tests in a container")


def freezer() -> bool:
    """Whether jobs can be tracked by the freezer of cgroups v1."""
    probe = FREEZER / "secateur_probe"
    try:
        probe.mkdir()
    except OSError:
        return False
    try:
        return (probe / "freezer.state").exists()
    finally:
        probe.rmdir()


def run(*command: str, **environment: str) -> str:
    """The output of a command that must succeed. Raises ClusterError with what it said."""
    try:
        answer = subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{' '.join(command)}: no answer in 60 s") from error
    except FileNotFoundError as error:
        raise ClusterError(f"{command[0]}: no such program") from error
    if answer.returncode:
        raise ClusterError(f"{' '.join(command)}: {answer.stderr.strip() or answer.stdout.strip()}")
    return answer.stdout


def succeeds(*command: str) -> bool:
    try:
        run(*command)
    except ClusterError:
        return False
    return True


def wait_for(what: str, condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until `condition` holds. Raises ClusterError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.1)


def processes() -> Iterator[int]:
    """The processes of this machine."""
    return (int(path.name) for path in Path("/proc").glob("[0-9]*"))


def read(pid: int, file: str) -> str:
    """A file under /proc; empty where there is none any more."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes().decode(errors="surrogateescape")
    except OSError:
        return ""


def links(pid: int) -> set[str]:
    """The files that a process has open."""
    found = set()
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(os.readlink(path))
    return found
