"""What a run is about to do: its jobs, noted in `logs/{study}/plan.json` when Snakemake begins.

With the progress that jobs write beside their logs (`core.progress`), this file is all that a view of the run needs.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from secateur.core import progress
from secateur.core.errors import SecateurError
from secateur.watch.work import Work

NAME, CONFIGURATION = "plan.json", "configuration.json"
"""In the folder of a study's logs: the plan, and the configuration that it is of."""
_current: list[Path] = []


@dataclass(frozen=True)
class PlannedJob:
    """A job that the run will do.

    Attributes:
        id: Snakemake's number of it.
        name: what people call it: its rule and wildcards.
        log: its log, relative to the folder of the run, which its progress is beside.
        after: ids of the planned jobs that it waits for.
        threads: cores that it takes.
        priority: which goes first of those that could start.
        work: how much it is.
        outputs: the files that it makes.
    """

    id: int
    rule: str
    name: str
    log: str
    after: tuple[int, ...]
    threads: int
    priority: int
    work: Work
    outputs: tuple[str, ...]

    @property
    def progress(self) -> Path:
        """The file with its progress, relative to the folder of the run."""
        return progress.file_of(self.log)


@dataclass(frozen=True)
class Plan:
    """A run.

    Attributes:
        study: the study's name.
        started: when the run began, in seconds since the epoch.
        slots: cores of this machine to use; on a cluster, jobs at a time.
        local: whether jobs run on this machine.
        pid, host: Snakemake's process.
        jobs: all that it will do.
        parts: the parts of the report in their order: name, and files that they are made of.
        machine: how much longer work takes here than `watch.expected` says, by a probe; 1 until that is known.
    """

    study: str
    started: float
    slots: int
    local: bool
    pid: int
    host: str
    jobs: tuple[PlannedJob, ...]
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    machine: float = 1.0

    @property
    def alive(self) -> bool:
        """Whether the run goes on, as far as one can tell on this machine."""
        here = os.uname().nodename == self.host
        return not here or Path(f"/proc/{self.pid}").exists()

    @property
    def logs(self) -> Path:
        """The folder of the study's logs, relative to the folder of the run."""
        return Path("logs", self.study)

    def wants_all(self, job: PlannedJob) -> bool:
        """Whether a job wants the machine for itself, to measure times."""
        return job.threads >= self.slots > 1


def note(
    workflow: Any,
    slots: int,
    work: Callable[[str, Any], Work],
    config: Mapping[str, Any],
    parts: Mapping[str, Sequence[str]],
) -> None:
    """Note the plan of a run that begins, and forget the progress of earlier runs of its jobs.

    Args:
        workflow: Snakemake's, of a real run, whose jobs are known.
        slots: cores to use, where jobs run on this machine.
        work: the work of a job by its rule and wildcards.
        parts: those of the report, see `Plan`.
    """
    local = workflow.local_exec
    slots = slots if local else min(workflow.nodes or 1, 10**6)
    jobs = tuple(planned(workflow.dag, work, local))
    plan = Plan(config["study"], time.time(), slots, local, os.getpid(), os.uname().nodename, jobs, parts)
    plan.logs.mkdir(parents=True, exist_ok=True)
    for job in jobs:
        job.progress.unlink(missing_ok=True)
    progress.write(plan.logs / CONFIGURATION, config)
    write(plan, Path())
    _current.append(plan.logs)


def write(plan: Plan, directory: Path) -> None:
    """Write the plan of a run in `directory`."""
    progress.write(directory / plan.logs / NAME, asdict(plan))


def planned(dag: Any, work: Callable[[str, Any], Work], local: bool) -> Iterable[PlannedJob]:
    """The jobs of Snakemake's `dag` that will run, but for those that run nothing, such as `all`."""
    found = [job for job in dag.needrun_jobs() if job.log]
    ids = {job: dag.jobid(job) for job in found}
    for job, number in ids.items():
        axes = dict(job.wildcards_dict)
        expected = work(job.rule.name, SimpleNamespace(**axes))
        name = " ".join([job.rule.name, *map(str, axes.values())])
        after = tuple(ids[other] for other in dag.dependencies[job] if other in ids)
        threads = job.threads if local else 1
        outputs = tuple(map(str, job.output))
        yield PlannedJob(
            number, job.rule.name, name, str(job.log[0]), after, threads, int(job.priority), expected, outputs
        )


def current() -> Path | None:
    """The folder of logs of the run that this very process does, once it has begun."""
    return _current[-1] if _current else None


def newest(directory: Path, study: str | None = None) -> Path:
    """The folder of logs, relative to `directory`, of the run there that began last. Raises SecateurError for none."""
    found = sorted(directory.glob(f"logs/{study or '*'}/{NAME}"), key=lambda file: file.stat().st_mtime)
    if not found:
        which = f"study {study}" if study else "any study"
        raise SecateurError(f"no run of {which} has begun in {directory}: make results begins one")
    return found[-1].parent.relative_to(directory)


def read(file: Path) -> Plan:
    """Read a plan. Raises SecateurError for a file that is none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(file.read_text(encoding="utf-8"))
        jobs = []
        for job in content["jobs"]:
            lists = {key: tuple(job[key]) for key in ("after", "outputs")}
            jobs.append(PlannedJob(**(job | lists | {"work": Work(**job["work"])})))
        return Plan(**(content | {"jobs": tuple(jobs)}))
    raise SecateurError(f"{file}: not the plan of a run of this version; make results writes it anew")
