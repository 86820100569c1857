"""How far a run is, and how long it will take: from its plan and the progress that its jobs have written.

Work is weighted by the seconds that it is expected to take. These come from `watch.expected` at first, times how slow
this machine is, and from what jobs of the same kind have taken as soon as there is any. The time left is that of a
simulation: jobs start in the order of their priority, as soon as what they wait for is done and cores are free.
"""

import heapq
import json
import math
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secateur.watch.plan import Plan, PlannedJob
from secateur.watch.work import LIGHT, Work

WAITING, RUNNING, DONE, FAILED, BLOCKED = "waiting", "running", "done", "failed", "blocked"
TRUSTED = 10.0
"""Seconds of measured work that weigh as much as what was expected before."""
MOST = 60.0
"""Seconds of evidence that the jobs of one rule are, for jobs of which nothing is known."""
FINISHED = 30.0
"""Seconds that a job which is done weighs beside its own: of its like it tells most, however short it was."""
SHORTEST = 1.0
"""Seconds for which a job must have told its progress until its speed counts."""
LATE = 0.1
"""The least share of a job's time that is still to come, while it runs and tells no progress, and that was no start."""


@dataclass(frozen=True)
class JobState:
    """A planned job, whether it waits, runs or has ended, and what it tells of itself."""

    job: PlannedJob
    status: str
    told: Mapping[str, Any]

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1; 0 where it does not tell."""
        if self.status == DONE:
            return 1.0
        parts = self.told.get("of_parts", 1)
        part = self.told["done"] / self.told["of"] if self.told.get("of") else 0.0
        return min(1.0, (self.told.get("part", 0) + part) / parts)


@dataclass(frozen=True)
class Forecast:
    """How far a run is.

    Attributes:
        states: of all jobs, by id.
        share: how much of the work is done, from 0 to 1; what failed jobs keep from being done is left out.
        seconds: until the last job ends.
        left: seconds until each job ends that runs or waits, by id.
    """

    states: Mapping[int, JobState]
    share: float
    seconds: float
    left: Mapping[int, float]

    def of(self, status: str) -> list[JobState]:
        """The jobs in this state, those that started first at the beginning."""
        found = [state for state in self.states.values() if state.status == status]
        return sorted(found, key=lambda state: state.told.get("started", 0.0))

    def due(self, files: Collection[str]) -> float | None:
        """Seconds until these files are there; None if jobs that make some have failed or cannot run."""
        wanted, seconds = set(files), 0.0
        for state in self.states.values():
            if wanted.intersection(state.job.outputs) and state.status != DONE:
                if state.job.id not in self.left:
                    return None
                seconds = max(seconds, self.left[state.job.id])
        return seconds

    def parts_due(self, plan: Plan) -> dict[str, float | None]:
        """Seconds until each part of the report is there, 0 for what is; None where something has failed."""
        return {name: self.due(files) for name, files in plan.parts.items()}


def read_told(job: PlannedJob, directory: Path) -> dict[str, Any]:
    """What a job of a run in `directory` tells of itself; nothing before it has begun."""
    with suppress(OSError, ValueError):
        return json.loads((directory / job.progress).read_text(encoding="utf-8"))
    return {}


def read_states(plan: Plan, directory: Path) -> dict[int, JobState]:
    """The state of every job of a run in `directory`, in the order of the plan."""
    states: dict[int, JobState] = {}
    for job in plan.jobs:
        told = read_told(job, directory)
        status = WAITING
        if told:
            status = FAILED if told.get("failed") else DONE if "ended" in told else RUNNING
        states[job.id] = JobState(job, status, told)
    return blocked(states)


def blocked(states: Mapping[int, JobState]) -> dict[int, JobState]:
    """`states`, in which what waits for a failed job cannot run."""
    found = dict(states)
    changed = True
    while changed:
        changed = False
        for number, state in found.items():
            before = [found[other].status for other in state.job.after]
            if state.status == WAITING and (FAILED in before or BLOCKED in before):
                found[number], changed = JobState(state.job, BLOCKED, state.told), True
    return found


class Speeds:
    """How long work takes here, as far as jobs have shown.

    Args:
        states: of all jobs.
        machine: how much longer this machine takes than that of `watch.expected`, from a probe at the start.
    """

    def __init__(self, states: Iterable[JobState], machine: float = 1.0):
        states = list(states)
        self.machine = machine
        self.starts: dict[bool, float] = {}
        for light in (True, False):
            found = [state for state in states if (state.job.work.kind == LIGHT) == light and _first(state.told)]
            if found:
                self.starts[light] = sum(state.told["since"] - state.told["started"] for state in found) / len(found)
        self.measured: dict[str, tuple[float, float, float]] = {}
        ratios: dict[str, list[tuple[float, float]]] = {}
        for state in states:
            if not (seen := observed(state, self.start(state.job.work))):
                continue
            work, (amount, seconds) = state.job.work, seen
            known = self.measured.get(work.key, (0.0, 0.0, 0.0))
            trust = seconds + (FINISHED if state.status == DONE else 0.0)
            self.measured[work.key] = known[0] + amount, known[1] + seconds, known[2] + trust
            ratios.setdefault(work.like or work.kind, []).append((math.log(seconds / amount / work.seconds), seconds))
        prior = [(math.log(machine), TRUSTED)]
        # Each counts for so much at most: one rule that takes far longer than expected must not speak for all.
        groups = [(_mean(found), min(MOST, sum(weight for _, weight in found))) for found in ratios.values()]
        self.general = _mean(prior + groups)
        self.alike = {name: _mean([(self.general, TRUSTED), *found]) for name, found in ratios.items()}

    def start(self, work: Work) -> float:
        """Seconds until a job begins to compute."""
        return self.starts.get(work.kind == LIGHT, work.start * self.machine)

    def unit(self, job: PlannedJob) -> float:
        """Seconds that a unit of a job's work takes."""
        work = job.work
        logarithm = math.log(work.seconds) + self.alike.get(work.like or work.kind, self.general)
        amount, seconds, trust = self.measured.get(work.key, (0.0, 0.0, 0.0))
        if not amount:
            return math.exp(logarithm)
        return math.exp(_mean([(logarithm, TRUSTED), (math.log(seconds / amount), trust)]))

    def whole(self, job: PlannedJob) -> float:
        """Seconds that all of a job takes."""
        return self.start(job.work) + job.work.amount * self.unit(job)

    def left(self, state: JobState, now: float) -> float:
        """Seconds that a job still takes, which waits or runs."""
        whole = self.whole(state.job)
        if state.status != RUNNING:
            return whole
        since_told = max(0.0, now - state.told.get("updated", now))
        if state.share:
            return max(0.0, (1 - state.share) * (whole - self.start(state.job.work)) - since_told)
        return max(LATE * whole, whole - (now - state.told["started"]))


def _first(told: Mapping[str, Any]) -> bool:
    """Whether what a job tells of is the first that it does, so that it began to compute then."""
    return "since" in told and not told.get("part") and told.get("of_parts", 1) == 1


def observed(state: JobState, start: float) -> tuple[float, float] | None:
    """Units of work that a job has done, and the seconds that they took; None where it does not show (yet)."""
    told, amount = state.told, state.job.work.amount
    if not amount:  # of which any time tells nothing
        return None
    if state.status == DONE:
        seconds = told["ended"] - told["started"]
        return (amount, max(seconds - start, LATE * seconds)) if seconds > 0 else None
    if state.status == RUNNING and told.get("of"):
        done = (told["done"] - told["first"]) / told["of"] * amount / told.get("of_parts", 1)
        seconds = told["updated"] - told["since"]
        return (done, seconds) if done > 0 and seconds >= SHORTEST else None
    return None


def _mean(values: Iterable[tuple[float, float]]) -> float:
    """The mean of values with weights."""
    values = list(values)
    return sum(value * weight for value, weight in values) / sum(weight for _, weight in values)


def forecast(plan: Plan, states: Mapping[int, JobState], now: float) -> Forecast:
    """How far a run is at `now`, in seconds since the epoch."""
    speeds = Speeds(states.values(), plan.machine)
    done, total = 0.0, 0.0
    for state in states.values():
        if state.status in (FAILED, BLOCKED):
            continue
        whole = speeds.whole(state.job)
        total += whole * state.job.threads
        if state.status == DONE:
            done += whole * state.job.threads
        elif state.status == RUNNING:
            done += max(0.0, whole - speeds.left(state, now)) * state.job.threads
    active = {number: state for number, state in states.items() if state.status in (WAITING, RUNNING)}
    left = simulated(active, {number: speeds.left(state, now) for number, state in active.items()}, plan.slots)
    return Forecast(states, done / total if total else 1.0, max(left.values(), default=0.0), left)


def simulated(active: Mapping[int, JobState], seconds: Mapping[int, float], slots: int) -> dict[int, float]:
    """Seconds from now until each of the jobs ends that run or wait, if each takes `seconds` from its start on.

    A job that wants more cores than there are gets all of them, as with Snakemake.
    """
    threads = {number: min(state.job.threads, slots) for number, state in active.items()}
    after = {number: {other for other in state.job.after if other in active} for number, state in active.items()}
    waiting = [number for number, state in active.items() if state.status == WAITING]
    waiting.sort(key=lambda number: (-active[number].job.priority, number))
    running = [(seconds[number], number) for number, state in active.items() if state.status == RUNNING]
    heapq.heapify(running)
    free = slots - sum(threads[number] for _, number in running)
    now, ends = 0.0, {}
    while waiting or running:
        for number in list(waiting):
            if threads[number] <= free and not after[number]:
                waiting.remove(number)
                free -= threads[number]
                heapq.heappush(running, (now + seconds[number], number))
            if free <= 0:
                break
        if not running:  # fewer cores than jobs that run, which only a changed plan could bring
            break
        now, number = heapq.heappop(running)
        ends[number] = now
        free += threads[number]
        for other in after.values():
            other.discard(number)
    return ends
