"""Self-attention of the decoder first, by importance, and then all else: the decoder's self-attention apart."""

from secateur.heads.order import Given, first_of
from secateur.models.surgery.heads import Head

BLOCK = "decoder-self"
SHOWN = {"order": 60}


def order(given: Given) -> list[Head]:
    """By importance, heads of the decoder's self-attention before all others."""
    return first_of(BLOCK, given)
