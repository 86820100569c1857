"""The two scales of SUPERB's score (S4, Eq. 6).

SUPERB's own scale has fixed ends: log-mel features (FBANK) and WavLM Large on its public leaderboard. It is for its ten
tasks on its own data. Any other choice of tasks or data has a scale of its own, from log-mel features to the teacher,
over the tasks that tell the two apart beyond chance; scores of different scales cannot be compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secateur.core.errors import SecateurError
from secateur.reporting import published
from secateur.ssl.score import FULL, Values, superb_score
from secateur.statistics.estimates import Estimate, of_two_groups
from secateur.statistics.student import CONFIDENCE, t_quantile

SUPERB, OWN = "SUPERB", "own"
"""The names of the scales."""
NORMAL_95 = 1.96
"""Standard errors from a number to an end of its 95 % interval."""


@dataclass(frozen=True)
class Scale:
    """What scores 0 (`zero`) and what scores 1000 (`reference`) in each of `tasks`.

    Attributes:
        name: `SUPERB` for SUPERB's fixed scale, `OWN` for that of a study.
    """

    name: str
    zero: Values
    reference: Values
    tasks: tuple[str, ...]

    def score(self, values: Values) -> float:
        """Eq. 6 over the tasks of this scale. Raises SecateurError as `superb_score` does."""
        missing = [task for task in self.tasks if task not in values]
        if missing:
            raise SecateurError(f"SUPERB score: {missing[0]} was not run; run it, or leave it out for all")
        return superb_score({task: values[task] for task in self.tasks}, self.zero, self.reference)


def by_task(figures: Mapping[tuple[str, str], float]) -> dict[str, dict[str, float]]:
    """Published figures, by (task, metric), as `Values`: of slot filling the score counts F1 alone."""
    found: dict[str, dict[str, float]] = {}
    for (task, metric), value in figures.items():
        if (task, metric) not in published.S4_UNSCORED:
            found.setdefault(task, {})[metric] = value
    return found


def superb_scale() -> Scale:
    """SUPERB's: ten tasks, FBANK 0 and WavLM Large 1000."""
    zero, reference = by_task(published.S4_FBANK), by_task(published.S4_WAVLM_LARGE)
    return Scale(SUPERB, zero, reference, tuple(zero))


def scale_of(
    options: Mapping[str, Mapping[str, Any]], zeros: Sequence[Mapping[str, Any]], teacher: Mapping[str, Any]
) -> Scale:
    """The scale of an entry's scores: SUPERB's where all its ten tasks are run on its data, else the entry's own.

    SUPERB recognises words on the best path, so a search among the words of the training text is not SUPERB's ASR.
    The own scale's zero is, in every task, the better of log-mel features as they are and normalised per clip. It has
    the tasks that are what they are called, in which the teacher is above it beyond chance (`beyond_chance`).

    Args:
        options: those of the entry's tasks, by name.
        zeros, teacher: what was measured of log-mel features and of the teacher (`tasks` of their `scores.json`).
    """
    superb = superb_scale()
    chosen = [options.get(task, {}) for task in superb.tasks]
    if all(each.get("source") == "official" and not each.get("search") for each in chosen):
        return superb
    zero = {task: better(task, zeros) for task in zeros[0]}
    ends = scored(zero), scored(teacher)
    told = [task for task in ends[0] if ends[0][task] and task in teacher and beyond_chance(teacher[task], zero[task])]
    return Scale(OWN, *ends, tuple(told))


def score_error(scale: Scale, tasks: Mapping[str, Any], rival: Mapping[str, Any] | None = None) -> float:
    """The standard error of an encoder's score, or of its difference from a rival's, over test items and heads.

    A rival is tested on the same items, so that what is easy or hard for both counts for neither. The error makes up
    for few degrees of freedom, those of all tasks together (Satterthwaite): `NORMAL_95` of it are the 95 % interval.
    That of a single encoder is read from the intervals of its metrics. The two ends of the scale are taken as given,
    and tasks as independent.

    Args:
        tasks, rival: what was measured of the two (`tasks` of their `scores.json`).
    """
    variance, squares = 0.0, 0.0
    for task in scale.tasks:
        metrics = {name: metric for name, metric in tasks[task]["metrics"].items() if metric["scored"]}
        for name, metric in metrics.items():
            if rival is None:
                error, df = (metric["high"] - metric["low"]) / (2 * NORMAL_95), np.inf
            else:
                found = difference(metric, rival[task]["metrics"][name])
                error, df = float(found.se), float(found.df)
            points = FULL / (scale.reference[task][name] - scale.zero[task][name]) / len(metrics) / len(scale.tasks)
            variance += (points * error) ** 2
            squares += (points * error) ** 4 / df
    wider = float(t_quantile((1 + CONFIDENCE) / 2, variance**2 / squares)) / NORMAL_95 if squares else 1.0
    return variance**0.5 * wider


def better(task: str, zeros: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What was measured in a task of the one of `zeros` that is better by its first metric."""

    def quality(measured: Mapping[str, Any]) -> float:
        metric = next(iter(measured["metrics"].values()))
        return metric["value"] if metric["higher_is_better"] else -metric["value"]

    return max((zero[task] for zero in zeros), key=quality)


def beyond_chance(measured: Mapping[str, Any], zero: Mapping[str, Any]) -> bool:
    """Whether an upstream is better than another in all scored metrics of a task, with intervals that exclude 0."""
    differences = [
        (difference(metric, zero["metrics"][name]), metric["higher_is_better"])
        for name, metric in measured["metrics"].items()
        if metric["scored"]
    ]
    return bool(differences) and all(found.low > 0 if higher else found.high < 0 for found, higher in differences)


def difference(metric: Mapping[str, Any], other: Mapping[str, Any]) -> Estimate:
    """A metric of one upstream minus that of another, by Student's t over test items and heads.

    Both are on the same draws of test items; raises SecateurError else. Heads are trained apart.
    """
    if metric["units"] != other["units"] or len(metric["draws"]) != len(other["draws"]):
        raise SecateurError("two upstreams were tested on different items; run the tasks of both again")
    draws = np.array(metric["draws"], dtype=np.float64) - np.array(other["draws"], dtype=np.float64)
    units = sum(metric["units"])
    df = max(units - len(metric["units"]), 1)
    items = float(np.nanstd(draws)) * (units / df) ** 0.5
    return of_two_groups(metric["heads"], other["heads"], items, df, units)


def scored(tasks: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The metrics that the score counts, of what was measured (`tasks` of a `scores.json`)."""
    return {
        task: {name: value["value"] for name, value in measured["metrics"].items() if value["scored"]}
        for task, measured in tasks.items()
    }
