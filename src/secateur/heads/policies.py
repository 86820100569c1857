"""In which order attention heads go. A policy makes one order of all heads, whose beginnings are the removals of every
share from 0 to 1: they are nested, and a model of a larger share is a smaller one without further heads.

    global          the least important head of all first
    per-layer       as many from every attention block: its least important head first
    by-layer        the lowest layer first, from the encoder's first to the decoder's last; within a layer the least
                    important first. What is removed lies together as closely as it can: the greatest locality
    latency-aware   what saves most measured time per importance lost first
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.files import read_json
from secateur.models.surgery.heads import Head

POLICIES = ("global", "per-layer", "by-layer", "latency-aware")

Times = Mapping[str, Sequence[float]]
"""By block, the seconds that an utterance takes in an attention block with 0, 1, 2, … heads."""


def removal_order(policy: str, importance: Mapping[Head, float], times: Times | None = None) -> list[Head]:
    """All heads, the first to be removed first.

    Args:
        importance: of every head, not negative.
        times: for `latency-aware`: see `secateur.heads.times`. Every block's first entry is what no attention at
            all takes, so that the norm, the projections and the position bias are in the difference to the second.

    Raises SecateurError for an unknown policy, and for times that are missing or of fewer heads than there are.
    """
    ascending = sorted(importance, key=lambda head: (importance[head], head.place))
    if policy == "global":
        return ascending
    if policy == "by-layer":
        return sorted(ascending, key=lambda head: (head.block != "encoder-self", head.layer))
    if policy == "per-layer":
        return _round_robin(ascending)
    if policy == "latency-aware":
        return _latency_aware(ascending, importance, times)
    raise SecateurError(f"policy {policy!r} is unknown; it must be one of {', '.join(POLICIES)}")


def removed_at(order: Sequence[Head], share: float) -> list[Head]:
    """The heads that are gone when `share` of all (0 … 1) is removed: the nearest whole number, halves upwards."""
    if not 0 <= share <= 1:
        raise SecateurError(f"the share of heads to remove is {share}; it must be from 0 to 1")
    return list(order[: math.floor(share * len(order) + 0.5)])


def read_times(path: str | Path) -> Times:
    """The times that a job has measured."""
    return read_json(path)["seconds"]


def _round_robin(ascending: Sequence[Head]) -> list[Head]:
    """Blocks of fewer heads get turns at the same shares as those of more."""
    blocks = _by_attention(ascending)
    turns = {head: (place + 0.5) / len(block) for block in blocks.values() for place, head in enumerate(block)}
    return sorted(ascending, key=turns.__getitem__)


def _latency_aware(ascending: Sequence[Head], importance: Mapping[Head, float], times: Times | None) -> list[Head]:
    """Greedy by seconds saved per importance lost, over all ways to shrink one attention block.

    A block may lose its 1, 2, … or all least important heads in one go: the last head takes along what does not depend
    on the number of heads, which alone often is most of the time, so that single heads would never get there. The best
    ratio goes first, and again: per block that walks along the upper hull of (importance lost, seconds saved), which
    solves the linear relaxation of this choice (Dantzig 1957 on the knapsack problem) at every cut between such steps.
    """
    if times is None:
        raise SecateurError("policy latency-aware: there are no measured times; give a file of them")
    blocks = _by_attention(ascending)
    seconds = {}
    for (block, _), found in blocks.items():
        if len(times.get(block, ())) <= len(found):
            raise SecateurError(f"the measured times lack {block} with {len(found)} heads; measure them for this model")
        # What fewer heads take, more heads cannot undercut: else it is noise.
        seconds[block] = [max(times[block][: count + 1]) for count in range(len(times[block]))]
    order: list[Head] = []
    while blocks:
        candidates = []
        for (block, _), left in blocks.items():
            lost = 0.0
            for count, head in enumerate(left, 1):
                lost += importance[head]
                saved = seconds[block][len(left)] - seconds[block][len(left) - count]
                price = lost / saved if saved > 0 else math.inf
                # Of equal prices, the least important, then the larger step.
                candidates.append((price, lost, -count, left[0].place, left[:count]))
        step = min(candidates)[-1]
        order += step
        rest = blocks[step[0].attention][len(step) :]
        if rest:
            blocks[step[0].attention] = rest
        else:
            del blocks[step[0].attention]
    return order


def _by_attention(ascending: Sequence[Head]) -> dict[tuple[str, int], list[Head]]:
    blocks: dict[tuple[str, int], list[Head]] = {}
    for head in ascending:
        blocks.setdefault(head.attention, []).append(head)
    return blocks
