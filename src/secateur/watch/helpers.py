"""What goes on beside a run: the probe of the machine, the page of what is there so far, and where the run stands."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from secateur.core.files import write_text
from secateur.watch import page
from secateur.watch.forecast import DONE, RUNNING, Forecast
from secateur.watch.plan import Plan

LOG = "so-far.log"
SHARE = 5
"""The page is made again no sooner than this many times as long as it took."""
NICE = 19


class Helpers:
    """Small processes beside a run, which the run never waits for."""

    def __init__(self, plan: Plan, directory: Path):
        self.plan, self.directory = plan, directory
        self.folder = directory / "results" / plan.study / page.FOLDER
        self._probe: subprocess.Popen | None = None
        self._page: subprocess.Popen | None = None
        self._began, self._rest = 0.0, 0.0
        self._shown: set[str] = set()
        if plan.local:  # on a cluster, other machines compute
            self._probe = _start([sys.executable, "-m", "secateur.watch.probe"], stdout=subprocess.PIPE)

    def machine(self) -> float | None:
        """How much longer this machine takes than expected, once, when the probe has found out."""
        if self._probe and self._probe.poll() is not None:
            answer, self._probe = self._probe.communicate()[0], None
            with suppress(ValueError):
                return float(answer)
        return None

    def each_minute(self, found: Forecast, now: float) -> None:
        """Say where the run stands, and make the page if a part of the report is there that it lacks."""
        if not self.plan.parts:
            return
        write_text(self.folder / page.STATUS, page.status(self.plan, found, now, over=False))
        if not (self.folder / "index.html").exists():
            write_text(self.folder / "index.html", page.first(self.plan))
        if self._page and self._page.poll() is not None:
            self._rest, self._page = now + SHARE * (now - self._began), None
        there = {name for name, seconds in found.parts_due(self.plan).items() if seconds == 0}
        if self._page is None and now >= self._rest and there - self._shown and not self._alone(found):
            self._shown, self._began = there, now
            self._page = self._make_page()

    def _alone(self, found: Forecast) -> bool:
        """Whether a job runs that wants the machine for itself."""
        return any(self.plan.wants_all(state.job) for state in found.of(RUNNING))

    def _make_page(self) -> subprocess.Popen:
        command = [sys.executable, "-m", "secateur", "so-far", "--study", self.plan.study]
        with open(self.directory / self.plan.logs / LOG, "w", encoding="utf-8") as log:
            return _start(command, cwd=self.directory, stdout=log, stderr=log, preexec_fn=lambda: os.nice(NICE))

    def stop(self) -> None:
        """End the making of the page, if it is being made; it is tried again."""
        if self._page and self._page.poll() is None:
            self._page.send_signal(signal.SIGKILL)
            self._page.wait()
            self._page, self._shown = None, set()

    def close(self, found: Forecast, now: float) -> None:
        """The run has ended: with a report, which takes the place of the page, or without."""
        self.stop()
        if self._probe:
            self._probe.kill()
            self._probe.communicate()
        if not self.plan.parts or not self.folder.is_dir():
            return
        if len(found.of(DONE)) == len(self.plan.jobs):
            shutil.rmtree(self.folder)
        else:
            write_text(self.folder / page.STATUS, page.status(self.plan, found, now, over=True))


def _start(command: list[str], **options) -> subprocess.Popen:
    """Start a process whose threads do not crowd out the jobs."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "text": True} | options
    return subprocess.Popen(command, env=environment, **options)
