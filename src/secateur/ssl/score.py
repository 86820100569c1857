"""SUPERB's score (S4, Eq. 6): one number for how good an encoder is at all tasks."""

from collections.abc import Mapping

from secateur.core.errors import SecateurError

Values = Mapping[str, Mapping[str, float]]
"""Metrics by task: {"asr": {"wer": 6.21}, "sf": {"f1": 89.38}, …}; only those that the score counts."""
FULL = 1000.0


def superb_score(values: Values, zero: Values, reference: Values) -> float:
    """Mean over tasks of 1000·(m − m_zero) / (m_reference − m_zero); of a task with several metrics, first their mean.

    `zero` scores 0 and `reference` 1000, whether more is better or less. All three must have the same tasks.
    Raises SecateurError otherwise, and where `reference` equals `zero`, which leaves nothing to measure by.
    """
    if not values:
        raise SecateurError("SUPERB score: no task was run")
    return sum(task_score(task, values, zero, reference) for task in values) / len(values)


def task_score(task: str, values: Values, zero: Values, reference: Values) -> float:
    """The share of one task in the score, as if it were the only one."""
    parts = []
    for metric, value in values[task].items():
        try:
            low, high = zero[task][metric], reference[task][metric]
        except KeyError as error:
            raise SecateurError(
                f"SUPERB score: {task} ({metric}) was not run for all of model, zero and reference; run it, or leave "
                "it out for all"
            ) from error
        if low == high:
            raise SecateurError(
                f"SUPERB score: zero and reference are both {low} in {task} ({metric}); leave the task out of the score"
            )
        parts.append(FULL * (value - low) / (high - low))
    return sum(parts) / len(parts)
