"""How far a job is: it writes this into a small file beside its log, which `secateur status` and the live view read.

A job's standard error is its log (`… &> {log}` in every rule), so it knows the file by itself: the progress of
`a/b.log` is `a/b.progress.json`. By hand, where standard error is no log, nothing is written. Files, and nothing else,
so that a view on another machine sees the jobs of a cluster, too.
"""

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
RANK = "RANK"  # in the environment of processes that torchrun has started: their number
SECONDS_BETWEEN_WRITES = 2
SECONDS_BETWEEN_LINES = 30


def file_of(log: str | os.PathLike) -> Path:
    """Where the job with this log writes its progress."""
    return Path(log).with_suffix(".progress.json")


class Progress:
    """The progress of this process' job.

    Its file holds `started` and `updated` (seconds since the epoch); the number of `done` and `of` what is counted, a
    `unit`; `since`, when `first` of them had been done, from which the speed follows; what else `tell` is given (a
    loss); the `part` that is at work `of_parts`; and in the end `ended`, `cpu_seconds`, of these `start_cpu_seconds`
    before it began to work, and, after an error, `failed`.
    """

    def __init__(self, file: Path | None = None):
        self.file = file
        self.content: dict[str, Any] = {}
        self.counted: dict[str, Any] = {}
        self._written = 0.0

    def begin(self, command: str) -> None:
        """Note that the job has started, if its standard error is a log; of several processes the first one does."""
        if os.environ.get(RANK, "0") != "0":
            return
        self.file = self.file or _beside_log()
        self.content = {"command": command, "host": socket.gethostname(), "started": process_started()}
        self._write()

    def part(self, number: int, of: int) -> None:
        """Note that the job is at work on part `number`, from 0, of several alike: a language, a task."""
        self.content |= {"part": number, "of_parts": of}

    def tell(self, unit: str, done: int, of: int, **more: float) -> None:
        """Note how far the job is: `done` of `of` units, and further numbers by name. Call it as often as you like."""
        now, counted = time.time(), self.counted
        if counted.get("unit") != unit or done < counted["done"]:
            counted = {"unit": unit, "since": now, "first": done}
        self.counted = counted | {"done": done, "of": of, **more}
        if now - self._written >= SECONDS_BETWEEN_WRITES:
            self._write()

    def end(self, failed: bool = False, **took: float) -> None:
        """Note that the job has ended, and what it took, numbers by name."""
        if self.content:
            self.content |= {"ended": time.time(), **took} | ({"failed": True} if failed else {})
            self._write()

    def _write(self) -> None:
        if self.file is None:
            return
        self._written = time.time()
        self.content["updated"] = self._written
        with suppress(OSError):  # a view that is a little behind must not end a job
            write(self.file, self.content | self.counted)


JOB = Progress()
"""That of this process."""


def each(items: Iterable[Item], total: int, unit: str) -> Iterator[Item]:
    """Pass `items` on and tell how far they are: a bar on a terminal, else a log line every half minute."""
    if total <= 1:
        yield from items
        return
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=unit)
        return
    shown = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        JOB.tell(unit, count, total)
        if time.monotonic() - shown > SECONDS_BETWEEN_LINES:
            shown = time.monotonic()
            logging.info("%s: %d of %d", unit, count, total)


def write(file: Path, content: Any) -> None:
    """Write JSON so that a reader sees the old or the new; unlike results, it need not outlive a power cut."""
    aside = file.with_name(f".{file.name}.{os.getpid()}.part")
    aside.write_text(json.dumps(content), encoding="utf-8")
    os.replace(aside, file)


def process_started() -> float:
    """When this process was started, in seconds since the epoch: before it loaded anything."""
    now = time.time()
    with suppress(OSError, ValueError, IndexError):
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return now - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    return now


def _beside_log() -> Path | None:
    with suppress(OSError):
        log = os.readlink("/proc/self/fd/2")
        if log.endswith(".log") and Path(log).is_file():
            return file_of(log)
    return None
