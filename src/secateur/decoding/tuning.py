"""The weight of a language model and the length bonus with the fewest errors on dev data, by a grid that is widened.

All pairs of the two are tried. If the best one lies at an edge of the grid, a value beyond that edge joins, at the
distance of its two last ones, and again, until it lies inside: else a table would compare language models of which one
had the weight that it needs and another had not. A weight of 0, no language model at all, is no edge.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from secateur.core.errors import SecateurError

Errors = tuple[float, ...]
"""Error rates of a pair, what counts first, and then what decides between equals."""
FILE_KEYS = ("lm_weight", "length_bonus")


@dataclass
class Tuned:
    """What was tried, and what was found.

    Attributes:
        weights, bonuses: the values of the grid at last, in rising order.
        found: errors by (weight, bonus).
        widened: how many values joined the grid.
    """

    weights: list[float]
    bonuses: list[float]
    found: dict[tuple[float, float], Errors] = field(default_factory=dict)
    widened: int = 0

    @property
    def best(self) -> tuple[float, float]:
        """The pair with the fewest errors; of equal ones the smallest weight, then the bonus next to 0."""
        return min(self.found, key=lambda pair: (self.found[pair], pair[0], abs(pair[1]), pair[1]))

    @property
    def inside(self) -> bool:
        """Whether the best pair lies inside the grid."""
        return not self.beyond()

    def beyond(self) -> list[tuple[list[float], float]]:
        """The values beyond the edges that the best pair lies at, each with the list that it would join."""
        found = []
        for values, at in zip((self.weights, self.bonuses), self.best, strict=True):
            if len(values) < 2:
                continue
            if at == values[-1]:
                found.append((values, round(2 * values[-1] - values[-2], 6)))
            elif at == values[0] and not (values is self.weights and at == 0):
                further = round(2 * values[0] - values[1], 6)
                found.append((values, max(0.0, further) if values is self.weights else further))
        return found


def tune(
    errors: Callable[[float, float], Errors], weights: Sequence[float], bonuses: Sequence[float], widen: int
) -> Tuned:
    """Find the best pair of a weight and a length bonus.

    Args:
        errors: of a pair, lower is better.
        weights, bonuses: the grid to begin with; a single value is not tuned, and has no edge.
        widen: how many values may join the grid.

    Raises SecateurError for a grid without a value, and one with a negative weight.
    """
    if not weights or not bonuses or min(weights) < 0:
        raise SecateurError(
            f"no grid: weights {list(weights)}, bonuses {list(bonuses)}; give weights from 0 on, and both"
        )
    result = Tuned(sorted(set(map(float, weights))), sorted(set(map(float, bonuses))))
    while True:
        for weight in result.weights:
            for bonus in result.bonuses:
                if (weight, bonus) not in result.found:
                    result.found[weight, bonus] = errors(weight, bonus)
        further = result.beyond()
        if not further or result.widened >= widen:
            return result
        for values, value in further[: widen - result.widened]:
            values.append(value)
            values.sort()
            result.widened += 1


def applied(search: dict[str, Any], tuned: dict[str, Any], name: str) -> dict[str, Any]:
    """An entry of the configuration's searches with what was tuned for the search `name`.

    Args:
        tuned: the content of a file of `secateur tune-lms`.

    Raises SecateurError if it was not tuned.
    """
    if name not in tuned["searches"]:
        raise SecateurError(f"search {name!r} was not tuned; tuned were {', '.join(tuned['searches']) or 'none'}")
    found = tuned["searches"][name]
    return search | {key: found[key] for key in FILE_KEYS}
