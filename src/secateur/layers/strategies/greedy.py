"""Those that hurt the dev data least, one after another.

It compares n sub-models of n − 1 layers in a round. To run each of them from the features on would take n·(n − 1)
layer-forwards on every batch, (N³ − N)/3 in all rounds together. But a layer that has run on a batch after the same
layers once need not run again, and what comes out is the same, bit by bit:

- Without layer i, nothing changes below i: a candidate costs only the layers after the one that it lacks. That is about
  half, and needs memory for one hidden state per layer, since one batch is worked on at a time.
- Once j is removed, nothing changes below j: what was computed there without layer i in the round before is what the
  next round needs. So a candidate costs only the layers after both i and j. Half becomes 0.39 (N = 12) or 0.36
  (N = 24) on average over all orders of removal, and less where later layers go first, as they do after stochastic
  depth. That needs memory for up to N·(N + 1)/2 + 1 hidden states of all dev data; a batch that has no room is worked
  on as above.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from secateur.layers.strategies import Found, Given, without
from secateur.statistics.stability import resampled_means

NEEDS = ("memory",)
SHOWN = {"order": 10, "default": True}


def order(given: Given) -> Found:
    """Remove the layer whose removal hurts least, and again, until one is left.

    The record has, for every removal, the layer `removed`, `without`: the objective without each layer, and `same`: the
    share of resampled dev sets on which the same layer goes, given those that went before.
    """
    scorer, layers = given.scorer, given.layers
    scores, removed, rounds = scorer.score([layers]), [], []
    while len(layers) > 1:
        found = dict(zip(layers, scorer.score([without(layers, layer) for layer in layers]), strict=True))
        best = min(found, key=lambda layer: (scorer.mean(found[layer]), found[layer].loss, -layer))
        removed.append(best)
        scores.append(found[best])
        objectives = {str(other): scorer.mean(score) for other, score in found.items()}
        rounds.append({"removed": best, "without": objectives})
        if found[best].each:
            rounds[-1]["same"] = same(found, best)
        layers = without(layers, best)
        scorer.forget(best)
    return Found(removed, scores, {"rounds": rounds})


def same(found: Mapping[int, Any], best: int) -> float:
    """The share of bootstrap resamples of the utterances in which removing `best` hurts least.

    Args:
        found: by layer, the score without it, which has the loss, or errors and words, of `each` utterance.
    """
    layers = sorted(found, reverse=True)  # of equal ones, the later layer goes first
    each = np.array([found[layer].each for layer in layers], dtype=np.float64)  # (layers, utterances, 2)
    summed, counted = resampled_means(each[..., 0].T), resampled_means(each[..., 1].T)
    return float((np.argmin(summed / counted, axis=1) == layers.index(best)).mean())
