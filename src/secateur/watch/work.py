"""The work of a job, in seconds of a core, and its kinds. No imports but those of the standard library."""

from dataclasses import dataclass

TRAINING, DECODING, OTHER, LIGHT = "training", "decoding", "other", "light"
"""Kinds of work: where nothing of the very same was measured, its kind tells most of how fast this machine is.

LIGHT work does without torch, so that its jobs begin sooner.
"""
STARTS = {LIGHT: 0.7, TRAINING: 3.0, DECODING: 3.0, OTHER: 3.0}
"""Seconds from the start of a process until it computes, by the kind of work."""


@dataclass(frozen=True)
class Work:
    """The work of a job.

    Attributes:
        key: what it is: work of the same key is equally fast.
        kind: one of these.
        amount: of units: training steps, languages, tasks, or 1.
        seconds: those that a unit takes on a core of the machine that the constants here are of.
        like: work of another key that is off its `seconds` by about the same factor; by default all of its kind.
    """

    key: str
    kind: str
    amount: float
    seconds: float
    like: str = ""

    @property
    def start(self) -> float:
        """Seconds until a job with this work begins to compute, there."""
        return STARTS[self.kind]
