"""The live view of a run, as a logger of Snakemake's.

On a terminal a few lines that are drawn anew every few seconds; elsewhere a line a minute, and in any case a line a
minute in `logs/{study}/progress.txt`. Errors and warnings are shown as Snakemake shows them, and so is everything
where there is no plan to watch: dry runs, and workflows without one.
"""

import dataclasses
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging import LogRecord
from pathlib import Path
from typing import Any

from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from secateur.core import progress
from secateur.core.errors import SecateurError
from secateur.watch import lines
from secateur.watch import plan as plans
from secateur.watch.forecast import DONE, Forecast, forecast, read_states, read_told
from secateur.watch.helpers import Helpers

SECONDS_TO_DRAW, SECONDS_TO_LINE = 3, 60
LOG = "progress.txt"
UP, CLEAR = "\033[{}A", "\033[J"
OF_JOBS = (LogEvent.JOB_INFO, LogEvent.SHELLCMD, LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED, LogEvent.PROGRESS)


class LogHandler(LogHandlerBase):
    """What Snakemake sends its records to, from a thread of its own."""

    def __post_init__(self) -> None:
        settings: Any = self.common_settings
        self.stream = sys.stdout if settings.stdout else sys.stderr
        self.plain = ColorizingTextHandler(
            nocolor=settings.nocolor,
            stream=self.stream,
            formatter=DefaultFormatter(settings.quiet, settings.show_failed_logs),
            filter=DefaultFilter(
                settings.quiet, settings.debug_dag, settings.verbose, settings.dryrun, settings.printshellcmds
            ),
        )
        self.verbose = settings.verbose or settings.printshellcmds
        self.view: View | None = None

    def emit(self, record: LogRecord) -> None:
        """Show a record, or take note of what it says of a job."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO and self.view is None and (folder := plans.current()):
            with suppress(SecateurError):
                self.view = View(plans.read(folder / plans.NAME), self.stream)
        if self.view is None:
            self.plain.handle(record)
            return
        if event == LogEvent.JOB_INFO:
            self.view.begun(record.jobid)  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_FINISHED:
            self.view.ended(record.job_id)  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_ERROR:
            self.view.ended(record.jobid, failed=True)  # type: ignore[attr-defined]
        if record.levelno >= logging.WARNING or (self.verbose and event in OF_JOBS):
            with self.view.aside():
                self.plain.handle(record)

    def close(self) -> None:
        if self.view is not None:
            self.view.close()
            self.view = None
        super().close()

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False


class View:
    """Shows a run until it is closed, from a thread of its own.

    Args:
        stream: where to.
        directory: the folder of the run.
    """

    def __init__(self, plan: plans.Plan, stream: Any, directory: Path = Path()):
        self.plan, self.stream, self.directory = plan, stream, directory
        self.jobs = {job.id: job for job in plan.jobs}
        self.terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self.helpers = Helpers(plan, directory)
        self._drawn, self._said = 0, 0.0
        self._lock, self._over = threading.RLock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="secateur-view", daemon=True)
        self._thread.start()

    def begun(self, number: int) -> None:
        """Snakemake has started a job here, or has handed it to the cluster, which starts it when it likes."""
        if (job := self.jobs.get(number)) and self.plan.local:
            self._tell(job, {"started": time.time()})
            if self.plan.wants_all(job):
                self.helpers.stop()

    def ended(self, number: int, failed: bool = False) -> None:
        """A job has ended; one that was killed could not say so itself."""
        if not (job := self.jobs.get(number)):
            return
        told = read_told(job, self.directory)
        if failed or "ended" not in told:
            told = {"started": time.time()} | told | {"ended": time.time()}
            self._tell(job, told | ({"failed": True} if failed else {}))

    def _tell(self, job: plans.PlannedJob, told: dict[str, Any]) -> None:
        with suppress(OSError):
            (self.directory / job.progress).parent.mkdir(parents=True, exist_ok=True)
            progress.write(self.directory / job.progress, told)

    def forecast(self) -> Forecast:
        """How far the run is now."""
        return forecast(self.plan, read_states(self.plan, self.directory), time.time())

    def _watch(self) -> None:
        while not self._over.wait(SECONDS_TO_DRAW):
            with self._harmless():
                self.show()

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """A context that what is shown cannot end: an error is said. A full disk is the business of jobs."""
        try:
            yield
        except OSError:
            pass
        except Exception as error:
            with suppress(OSError):
                self._say(f"cannot say how far the run is: {error!r}")

    def show(self) -> None:
        """Draw what there is to see, and write the line of the minute."""
        if machine := self.helpers.machine():
            self.plan = dataclasses.replace(self.plan, machine=machine)
            plans.write(self.plan, self.directory)
        found, now = self.forecast(), time.time()
        with self._lock:
            if self.terminal:
                self._draw(lines.block(self.plan, found, now))
            if now - self._said >= SECONDS_TO_LINE:
                self._said = now
                self._say(lines.line(self.plan, found, now))
                self.helpers.each_minute(found, now)

    def _say(self, line: str) -> None:
        """Write a line to the log, and where there is no terminal to the stream."""
        with open(self.directory / self.plan.logs / LOG, "a", encoding="utf-8") as log:
            log.write(f"{line}\n")
        if not self.terminal:
            self.stream.write(f"{line}\n")
            self.stream.flush()

    def _draw(self, block: list[str]) -> None:
        width, height = shutil.get_terminal_size()
        shown = [line[: width - 1] for line in block[: height - 1]]
        self._erase()
        self.stream.write("".join(f"{line}\n" for line in shown))
        self.stream.flush()
        self._drawn = len(shown)

    def _erase(self) -> None:
        if self._drawn:
            self.stream.write(UP.format(self._drawn) + CLEAR)
            self._drawn = 0

    def aside(self) -> "Aside":
        """A context in which something else may be written to the stream."""
        return Aside(self)

    def close(self) -> None:
        """Show how it ended."""
        self._over.set()
        self._thread.join()
        with self._harmless(), self._lock:
            self._erase()
            found, now = self.forecast(), time.time()
            took = lines.duration(now - self.plan.started)
            done = len(found.of(DONE))
            end = [f"{done} of {len(self.plan.jobs)} jobs done in {took}"]
            if done < len(self.plan.jobs):
                end += lines.failures(found)
            for line in end:
                self._say(line)
                if self.terminal:
                    self.stream.write(f"{line}\n")
            self.helpers.close(found, now)


class Aside:
    """Takes the drawn lines away while something else is written; they are drawn again in a moment."""

    def __init__(self, view: View):
        self.view = view

    def __enter__(self) -> None:
        self.view._lock.acquire()
        self.view._erase()

    def __exit__(self, *error: object) -> None:
        self.view._lock.release()
