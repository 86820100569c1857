"""Self-attention of the encoder first, by importance, and then that of the decoder: the encoder apart."""

from secateur.heads.order import Given, first_of
from secateur.models.surgery.heads import Head

BLOCK = "encoder-self"
SHOWN = {"order": 50}


def order(given: Given) -> list[Head]:
    """By importance, the encoder's heads before all others."""
    return first_of(BLOCK, given)
