"""Which of several systems no other one beats."""

from collections.abc import Sequence


def on_front(points: Sequence[tuple[float, ...]]) -> list[bool]:
    """Whether each point is on the Pareto front, where less of everything is better.

    A point is on the front unless another one is at most as large in every coordinate and smaller in one. Points that
    are equal are on it together.
    """
    return [not any(_beats(other, point) for other in points) for point in points]


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))
