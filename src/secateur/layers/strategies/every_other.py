"""A control: every second one, the last one first, and again of what is left."""

from secateur.layers.strategies import Found, Given

SHOWN = {"order": 50, "default": True}


def order(given: Given) -> Found:
    """Halve the layers until one is left."""
    removed, left = [], sorted(given.layers)
    while len(left) > 1:
        removed += reversed(left[1::2])
        left = left[::2]
    return Found(removed)
