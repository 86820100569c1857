"""The two scales of SUPERB's score (S4, Eq. 6).

SUPERB's own scale has fixed ends: log-mel features (FBANK) and WavLM Large on its public leaderboard. It is for its ten
tasks on its own data. Any other choice of tasks or data has a scale of its own, from log-mel features to the teacher,
over the tasks that tell the two apart; scores of different scales cannot be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secateur.core.errors import SecateurError
from secateur.reporting import published
from secateur.ssl.score import Values, superb_score, telling

SUPERB, OWN = "SUPERB", "own"
"""The names of the scales."""


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


def scale_of(options: Mapping[str, Mapping[str, Any]], zero: Mapping[str, Any], teacher: Mapping[str, Any]) -> Scale:
    """The scale of an entry's scores: SUPERB's where all its ten tasks are run on its data, else the entry's own.

    SUPERB recognises words on the best path, so a search among the words of the training text is not SUPERB's ASR.

    Args:
        options: those of the entry's tasks, by name.
        zero, teacher: what was measured of log-mel features and of the teacher (`tasks` of their `scores.json`).

    The own scale has no tasks where none tells the teacher from log-mel features.
    """
    superb = superb_scale()
    chosen = [options.get(task, {}) for task in superb.tasks]
    if all(each.get("source") == "official" and not each.get("search") for each in chosen):
        return superb
    higher = {
        task: {name: value["higher_is_better"] for name, value in measured["metrics"].items() if value["scored"]}
        for task, measured in zero.items()
    }
    ends = scored(zero), scored(teacher)
    return Scale(OWN, *ends, tuple(telling(higher, *ends)))


def scored(tasks: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The metrics that the score counts, of what was measured (`tasks` of a `scores.json`)."""
    return {
        task: {name: value["value"] for name, value in measured["metrics"].items() if value["scored"]}
        for task, measured in tasks.items()
    }
