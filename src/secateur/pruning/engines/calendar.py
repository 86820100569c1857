"""When masks adapt, and from when on they stay; the same for one language and for several."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from secateur.core.errors import SecateurError
from secateur.training.options import TrainingOptions
from secateur.training.rates import learning_rate

GROWS_BACK = "regrow"
"""The choice of `soft` by which what is removed begins at zero."""


@dataclass(frozen=True)
class Calendar:
    """The levels of a training, in equal parts of its steps, and the settling phase with fixed masks that ends it.

    Attributes:
        levels: sparsities, of which the last is the target.
        steps: of the whole training, those of all languages together; a multiple of the number of levels.
        every: n, the steps of a language between two adaptations of its mask.
        settle: share of the last level in which masks are fixed.
    """

    levels: Sequence[float]
    steps: int
    every: int
    settle: float = 0.0

    def __post_init__(self) -> None:
        if self.steps % len(self.levels):
            raise SecateurError(f"--training: {self.steps} steps; wanted a multiple of the {len(self.levels)} levels")

    @property
    def interval(self) -> int:
        """T, or the T of all languages together: steps of a level."""
        return self.steps // len(self.levels)

    @property
    def fixed(self) -> int:
        """Steps after which masks are fixed: one of the last level's at least."""
        return self.steps - min(round(self.settle * self.interval), self.interval - 1)

    def sparsity(self, done: int) -> float:
        """That of the level in which step `done`, counted from 0, falls."""
        return self.levels[min(done // self.interval, len(self.levels) - 1)]

    def boundary(self, done: int) -> int:
        """Steps after which all masks adapt next, when `done` are over: at the end of a level, or before settling."""
        return min((done // self.interval + 1) * self.interval, self.fixed)

    def ends(self, done: int) -> bool:
        """Whether all masks adapt after `done` steps: to the next level or, for the last time, to the target."""
        return done == self.fixed or (done < self.fixed and done % self.interval == 0)


def movement(training: TrainingOptions, calendar: Calendar, count: int) -> float:
    """The greatest sum of learning rates between two adaptations of a mask in the last level.

    Args:
        training: of the whole job, all levels and languages together.
        count: how many languages take turns: all of them train the free zone.
    """
    first = calendar.steps - calendar.interval
    points = [*range(first, calendar.fixed, calendar.every * count), calendar.fixed]
    return max(sum(learning_rate(training, step) for step in range(*window)) for window in pairwise(points))
