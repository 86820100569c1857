"""What a view of a run says, in lines of text."""

import time
from collections.abc import Mapping

from secateur.watch.forecast import BLOCKED, DONE, FAILED, RUNNING, Forecast, JobState
from secateur.watch.plan import Plan

MINUTE, HOUR, DAY = 60, 3600, 86400


def summary(plan: Plan, found: Forecast) -> str:
    """One line: the share that is done, the time left, jobs, and what failed."""
    jobs = f"{len(found.of(DONE))} of {len(plan.jobs)} jobs"
    said = [f"{percent(found.share)} done ({jobs})", f"about {duration(found.seconds)} left"]
    if failed := found.of(FAILED):
        said.append(f"{len(failed)} failed")
    return ", ".join(said)


def line(plan: Plan, found: Forecast, now: float) -> str:
    """All in one line, for logs and where there is no terminal."""
    said = [f"{time.strftime('%H:%M', time.localtime(now))} {summary(plan, found)}"]
    if part := next_part(plan, found):
        said.append(part)
    said += [job(state, found) for state in found.of(RUNNING)]
    return "; ".join(said)


def block(plan: Plan, found: Forecast, now: float) -> list[str]:
    """A line each for the whole, the report, what runs, and what failed."""
    lines = [f"Study {plan.study}: {summary(plan, found)}, running for {duration(now - plan.started)}"]
    if part := next_part(plan, found):
        lines.append(f"  {part}")
    lines += [f"  {job(state, found)}" for state in found.of(RUNNING)]
    return lines + [f"  {line}" for line in failures(found)]


def job(state: JobState, found: Forecast) -> str:
    """A job that runs: its steps, its loss, its time left."""
    told, said = state.told, [state.job.name]
    if told.get("of"):
        part = f", part {told['part'] + 1} of {told['of_parts']}" if told.get("of_parts", 1) > 1 else ""
        said.append(f"{told['unit']} {told['done']} of {told['of']}{part}")
    if "loss" in told:
        said.append(f"loss {told['loss']:.2f}")
    if not told.get("of") and told.get("of_parts", 1) > 1:
        said.append(f"part {told['part'] + 1} of {told['of_parts']}")
    return f"{said[0]}: {', '.join([*said[1:], duration(found.left.get(state.job.id, 0.0)) + ' left'])}"


def failures(found: Forecast) -> list[str]:
    """A line for each job that failed, and how to go on."""
    said = [f"failed: {state.job.name}, see {state.job.log}" for state in found.of(FAILED)]
    if stuck := found.of(BLOCKED):
        said.append(f"{len(stuck)} jobs wait for what failed; the same command goes on from here")
    return said


def to_come(plan: Plan, found: Forecast) -> Mapping[str, float | None]:
    """The parts of the report that are not there yet: seconds until each is, None for one that failed."""
    return {name: due for name, due in found.parts_due(plan).items() if due is None or due > 0}


def next_part(plan: Plan, found: Forecast) -> str:
    """Which part of the report comes next, and when; empty when none does."""
    due = {name: seconds for name, seconds in to_come(plan, found).items() if seconds is not None}
    if not due:
        return ""
    name = min(due, key=lambda name: due[name])
    return f"next in the report: {name}, in {duration(due[name])}"


def percent(share: float) -> str:
    """A share for reading; 100 % only when all is done."""
    return f"{int(share * 100 + 1e-9)} %"


def duration(seconds: float) -> str:
    """A span of time for reading, no more exact than anyone knows it."""
    if seconds < MINUTE:
        return f"{max(0, round(seconds / 5) * 5)} s"
    if seconds < HOUR:
        return f"{round(seconds / MINUTE)} min"
    if seconds < DAY:
        hours, minutes = divmod(round(seconds / MINUTE), 60)
        return f"{hours} h {minutes} min"
    days, hours = divmod(round(seconds / HOUR), 24)
    return f"{days} d {hours} h"
