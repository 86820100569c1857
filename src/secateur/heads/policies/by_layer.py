"""The lowest layer first, from the encoder's first to the decoder's last; within a layer the least important first.

What is removed lies together as closely as it can: the greatest locality.
"""

from secateur.heads.order import Given
from secateur.models.surgery.heads import Head

SHOWN = {"order": 30, "default": True}


def order(given: Given) -> list[Head]:
    """By layer, then by importance."""
    return sorted(given.ascending, key=lambda head: (head.block != "encoder-self", head.layer))
