"""What every command shares: arguments, logging, `run.json`, and one clear line for a user's error."""

import argparse
import json
import logging
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from secateur.core import processes, progress
from secateur.core.errors import SecateurError
from secateur.core.files import check_writable, write_json

LEFT_OVER = "left_over"
RECORDED_PACKAGES = ("torch", "espnet", "numpy", "kaldiio", "jiwer", "snakemake", "transformers")


def job(
    name: str,
    description: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace, dict[str, Any]], None],
    words: Sequence[str],
) -> None:
    """Run the command `name`: parse `words`, call `run(arguments, record)` and write `record` to `--run-json`.

    `run` adds what only it knows (seed, device, steps) to `record`; time, memory, versions and host are added here. A
    function under the key LEFT_OVER is called when all is written: it deletes what a killed job would have needed.
    A command with --training runs in as many processes as that asks for (`core.processes`). That --output can
    be written is tried before `run`.
    A SecateurError, or a lack of permissions, becomes one line on standard error and exit status 1; any other exception
    keeps its traceback.
    """
    parser = argparse.ArgumentParser(
        f"secateur {name}", description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--run-json", type=Path, help="where to write the record of this run")
    parser.add_argument("--code", default="", help="fingerprint of the code, recorded with the run")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    record: dict[str, Any] = {}
    started, finished, before = time.time(), False, cpu_seconds()
    try:
        arguments = parser.parse_args(words)
        training = vars(arguments).get("training")
        processes.spread(getattr(training, "processes", 1), getattr(training, "nodes", 1), [name, *words])
        progress.JOB.begin(name)
        if output := vars(arguments).get("output"):
            check_writable(output.parent)
        run(arguments, record)
        left_over = record.pop(LEFT_OVER, None)
        if arguments.run_json:
            whole = describe(name, arguments, started)
            whole["start_cpu_seconds"] = before
            if record.get("seconds", 0) > whole["seconds"]:  # it was killed and went on: of before, only this is known
                whole["cpu_seconds"] = None
            write_json(arguments.run_json, whole | record)
        if left_over:
            left_over()
        finished = True
    except SecateurError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except PermissionError as error:
        print(f"error: {error.filename}: {error.strerror}; mend its permissions, or its folder's", file=sys.stderr)
        sys.exit(1)
    finally:
        took = cpu_seconds() + cpu_seconds(resource.RUSAGE_CHILDREN)
        progress.JOB.end(failed=not finished, cpu_seconds=took, start_cpu_seconds=before)


def describe(name: str, arguments: argparse.Namespace, started: float) -> dict[str, Any]:
    """The part of `run.json` that is the same for every job; `started` is in seconds since the epoch."""
    return {
        "command": name,
        "arguments": {name: plain(value) for name, value in vars(arguments).items()},
        "versions": {"python": platform.python_version()} | _versions(),
        "git": _git_revision(),
        "host": socket.gethostname(),
        "processor": _processor(),
        "threads": threads(),
        "load": round(os.getloadavg()[0], 2),
        "device": "cpu",
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds"),
        "seconds": round(time.time() - started, 3),
        "cpu_seconds": cpu_seconds(),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def cpu_seconds(whose: int = resource.RUSAGE_SELF) -> float:
    """Core seconds that this process, or those that it has started and that have ended, took so far."""
    usage = resource.getrusage(whose)
    return round(usage.ru_utime + usage.ru_stime, 3)


def threads() -> int:
    """The number of CPU threads given to this process (OMP_NUM_THREADS, set from Snakemake's `threads`)."""
    return int(os.environ.get("OMP_NUM_THREADS", "1"))


class Options(dict):
    """Part of a configuration; a key that is missing, which happens only by hand, is a SecateurError."""

    def __missing__(self, key: str) -> Any:
        raise SecateurError(
            f"key {key!r} is missing, beside {', '.join(map(str, self)) or 'nothing'}; give every key that a study "
            "would: src/secateur/config/schemas/ has them, with their defaults"
        )


def json_argument(text: str) -> Any:
    """An argparse type: JSON text, or `@FILE` to read it from a file. Mappings are `Options`."""
    try:
        content = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        return json.loads(content, object_hook=Options)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"neither JSON nor @FILE with JSON: {error}") from error


def plain(value: Any) -> Any:
    """A value as JSON has it: paths as texts, options as mappings."""
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


def _versions() -> dict[str, str]:
    versions = {}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git_revision() -> str | None:
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        logging.debug("no /proc/cpuinfo")
    return platform.processor() or platform.machine()


def names_of(given: Sequence[str] | None, folders: Sequence[str | Path]) -> list[str]:
    """What `--names` calls folders, or their own names. Raises SecateurError unless each has a name of its own."""
    names = list(given or map(str, folders))
    if len(set(names)) != len(folders):
        raise SecateurError(f"--names: {names} for {len(folders)} folders; give each a name of its own")
    return names
