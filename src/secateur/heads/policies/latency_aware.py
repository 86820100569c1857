"""What saves most measured time per importance lost first."""

import math

from secateur.core.errors import SecateurError
from secateur.heads.order import Given, by_attention
from secateur.models.surgery.heads import Head

NEEDS = ("times",)
SHOWN = {"order": 40, "default": True}


def order(given: Given) -> list[Head]:
    """Greedy by seconds saved per importance lost, over all ways to shrink one attention block.

    A block may lose its 1, 2, … or all least important heads in one go: the last head takes along what does not depend
    on the number of heads, which alone often is most of the time, so that single heads would never get there. The best
    ratio goes first, and again: per block that walks along the upper hull of (importance lost, seconds saved), which
    solves the linear relaxation of this choice (Dantzig 1957 on the knapsack problem) at every cut between such steps.
    """
    if given.times is None:
        raise SecateurError("policy latency-aware: there are no measured times; give a file of them")
    importance, times = given.importance, given.times
    blocks = by_attention(given.ascending)
    seconds = {}
    for (block, _), found in blocks.items():
        if len(times.get(block, ())) <= len(found):
            raise SecateurError(f"the measured times lack {block} with {len(found)} heads; measure them for this model")
        # What fewer heads take, more heads cannot undercut: else it is noise.
        seconds[block] = [max(times[block][: count + 1]) for count in range(len(times[block]))]
    removed: list[Head] = []
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
        removed += step
        rest = blocks[step[0].attention][len(step) :]
        if rest:
            blocks[step[0].attention] = rest
        else:
            del blocks[step[0].attention]
    return removed
