"""A control: any, by the seed."""

import random

from secateur.layers.strategies import Found, Given

SHOWN = {"order": 40, "default": True}


def order(given: Given) -> Found:
    """Drawn without replacement. The record has the seed."""
    from_last = sorted(given.layers, reverse=True)
    return Found(random.Random(given.seed).sample(from_last, len(from_last) - 1), record={"seed": given.seed})
