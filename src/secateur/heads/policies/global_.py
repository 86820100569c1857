"""Nothing else: the least important head of all first."""

from secateur.heads.order import Given
from secateur.models.surgery.heads import Head

SHOWN = {"order": 10, "default": True, "plain": True}


def order(given: Given) -> list[Head]:
    """By importance alone."""
    return list(given.ascending)
