"""Make .venv from the pinned requirements when it is missing or stale; `make` runs this before anything else.

Runs with the standard library of any Python from 3.11 on. What was installed from what is noted in .venv/.installed;
the note is the last thing written, so a .venv without it was interrupted and is made again.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = Path("envs/requirements.txt")  # relative to ROOT: pip splits PIP_CONSTRAINT at spaces
VENV = ROOT / ".venv"
NOTE = VENV / ".installed"
LOG = VENV / "install.log"
GIGABYTES = 4.0  # with the CPU build of PyTorch
CUDA_GIGABYTES = 8.0
PIP_GIGABYTES = 1.5

STEPS = {
    # PyTorch brings its own CUDA libraries where there are any; the rest is all in the lock, and --no-deps keeps
    # ESPnet's stale bounds (setuptools < 74) out of it.
    "PyTorch": ["torch"],
    "the other packages": ["--no-deps", "--requirement", str(REQUIREMENTS)],
    "secateur itself": ["--no-deps", "--no-build-isolation", "--editable", "."],
}


def main() -> None:
    """Bring .venv up to date; return at once if it is."""
    os.chdir(ROOT)
    with open(REQUIREMENTS, "r+") as lock:  # two `make` at once: the second waits for the first
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = description()
        noted = read_note()
        if noted == wanted:
            return
        started = time.monotonic()
        print(f"Setting up .venv with Python {wanted['python']} (log: .venv/install.log)", flush=True)
        NOTE.unlink(missing_ok=True)
        if {**noted, "requirements": ""} != {**wanted, "requirements": ""}:
            make_venv()
        for number, (name, arguments) in enumerate(STEPS.items(), start=1):
            print(f"  {number}/{len(STEPS)} {name}", flush=True)
            pip_install(name, arguments)
        aside = NOTE.with_suffix(".part")
        aside.write_text(json.dumps(wanted) + "\n", encoding="utf-8")
        aside.replace(NOTE)
        print(f"  done in {time.monotonic() - started:.0f} s", flush=True)


def description() -> dict[str, str]:
    """What an up-to-date .venv is made from: the requirements, the interpreter and the folder (scripts name it)."""
    content = hashlib.sha256()
    for path in (REQUIREMENTS, Path("pyproject.toml"), Path(__file__)):
        content.update(path.read_bytes())
    return {
        "python": sys.version.split()[0],
        "interpreter": sys.base_prefix,
        "folder": str(ROOT),
        "requirements": content.hexdigest(),
    }


def read_note() -> dict[str, str]:
    """What .venv was made from; empty if it is missing, unfinished or broken."""
    try:
        if os.access(VENV / "bin" / "python", os.X_OK):  # false too for a link to an interpreter that is gone
            return json.loads(NOTE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        pass
    return {}


def make_venv() -> None:
    """Make an empty .venv, in place of what is there, after a look at all that it takes."""
    version = sysconfig.get_python_version()
    if not (find_spec("venv") and find_spec("ensurepip")):
        fail(f"Python {version} has no venv module: apt-get install python{version}-venv")
    if sys.version_info >= (3, 13) and not (shutil.which("c++") and Path(sysconfig.get_path("include")).is_dir()):
        fail(
            f"editdistance has no wheel for Python {version} and wants a compiler: "
            f"apt-get install g++ python{version}-dev, or use an older Python: make PYTHON=python3.12"
        )
    shutil.rmtree(VENV, ignore_errors=True)
    check_disk(ROOT, GIGABYTES, f"free some, or clone to a larger disk (PyTorch with CUDA takes {CUDA_GIGABYTES:g} GB)")
    check_disk(Path(tempfile.gettempdir()), PIP_GIGABYTES, "free some, or name another folder in TMPDIR")
    try:
        venv.create(VENV, with_pip=True)
    except subprocess.CalledProcessError as error:
        LOG.write_bytes(error.output or b"")
        fail(f"Python {version} could not make .venv (see .venv/install.log): apt-get install python{version}-venv")
    except OSError as error:
        fail(f"{error.filename or VENV}: {error.strerror}: mend the folder's permissions")


def check_disk(folder: Path, gigabytes: float, remedy: str) -> None:
    """Fail unless `folder` has so many GB (1e9 bytes) free."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        fail(f"{folder}: {free:.1f} GB free, and setting up takes {gigabytes:g} GB: {remedy}")


def pip_install(name: str, arguments: list[str]) -> None:
    """Run `pip install` in .venv, its output in the log; on a terminal its last line is shown meanwhile."""
    environment = os.environ | {
        "PIP_CONSTRAINT": str(REQUIREMENTS),  # holds for what pip builds in isolation, too
        "PIP_BUILD_CONSTRAINT": str(REQUIREMENTS),  # the same for pip 25.3 and newer
        "PIP_USER": "0",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    environment.pop("PYTHONPATH", None)
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", *arguments]
    lines = []
    with (
        open(LOG, "a", encoding="utf-8") as log,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as pip,
    ):
        for line in pip.stdout:
            log.write(line)
            lines.append(line.rstrip())
            if sys.stdout.isatty():
                width = shutil.get_terminal_size().columns - 1
                print(f"\r\033[K{'      ' + lines[-1]:.{width}}", end="", flush=True)
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)
    if pip.returncode:
        fail(f"pip could not install {name}: {reason(lines)} (log: .venv/install.log)")


def reason(lines: list[str]) -> str:
    """Why pip failed, in a line, with the remedy."""
    text = "\n".join(lines)
    if "No space left on device" in text:
        return (
            f"the disk is full; free some space (setting up takes {GIGABYTES:g} GB, with CUDA {CUDA_GIGABYTES:g} GB) "
            "and run the same command again"
        )
    if any(sign in text for sign in ("Temporary failure in name resolution", "NewConnectionError", "ReadTimeout")):
        return "the package index cannot be reached; mend the network or pip's settings and run the same command again"
    errors = [line for line in lines if line.startswith("ERROR:")]
    return errors[0].removeprefix("ERROR:").strip() if errors else "see what it said"


def fail(message: str) -> None:
    """End with one line."""
    sys.exit(f"error: {message}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("interrupted; the next make begins the set-up again")
