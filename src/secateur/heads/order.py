"""The order in which attention heads go: by a policy (`secateur.heads.policies`), of which this is the common part."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.files import read_json
from secateur.heads.policies import POLICIES
from secateur.models.surgery.heads import Head

Times = Mapping[str, Sequence[float]]
"""By block, the seconds that an utterance takes in an attention block with 0, 1, 2, … heads."""


@dataclass(frozen=True)
class Given:
    """What a policy may go by.

    Attributes:
        ascending: all heads, the least important first.
        importance: of every head, not negative.
        times: see `removal_order`; None for policies that need none.
    """

    ascending: Sequence[Head]
    importance: Mapping[Head, float]
    times: Times | None = None


def removal_order(policy: str, importance: Mapping[Head, float], times: Times | None = None) -> list[Head]:
    """All heads, the first to be removed first.

    Args:
        importance: of every head, not negative.
        times: for policies that need them: see `secateur.heads.times`. Every block's first entry is what no attention
            at all takes, so that the norm, the projections and the position bias are in the difference to the second.

    Raises SecateurError for an unknown policy, and for times that are missing or of fewer heads than there are.
    """
    ascending = sorted(importance, key=lambda head: (importance[head], head.place))
    return POLICIES.named(policy).load().order(Given(ascending, importance, times))


def removed_at(order: Sequence[Head], share: float) -> list[Head]:
    """The heads that are gone when `share` of all (0 … 1) is removed: the nearest whole number, halves upwards."""
    if not 0 <= share <= 1:
        raise SecateurError(f"the share of heads to remove is {share}; it must be from 0 to 1")
    return list(order[: math.floor(share * len(order) + 0.5)])


def read_times(path: str | Path) -> Times:
    """The times that a job has measured."""
    return read_json(path)["seconds"]


def doubt_of(path: str | Path) -> str:
    """Why the times that a job has measured are not to be relied on, by block; or ""."""
    found = read_json(path)["soundness"].items()
    return "; ".join(f"{block}: {facts['doubt']}" for block, facts in found if facts["doubt"])


def by_attention(ascending: Sequence[Head]) -> dict[tuple[str, int], list[Head]]:
    """The heads of every attention block, in the same order."""
    blocks: dict[tuple[str, int], list[Head]] = {}
    for head in ascending:
        blocks.setdefault(head.attention, []).append(head)
    return blocks


def first_of(block: str, given: Given) -> list[Head]:
    """By importance, the heads of one kind of attention before all others."""
    return sorted(given.ascending, key=lambda head: head.block != block)
