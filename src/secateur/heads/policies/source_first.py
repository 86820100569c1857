"""Attention of the decoder to the encoder first, by importance, and then all else: source attention apart."""

from secateur.heads.order import Given, first_of
from secateur.models.surgery.heads import Head

BLOCK = "decoder-source"
SHOWN = {"order": 70}


def order(given: Given) -> list[Head]:
    """By importance, heads of source attention before all others."""
    return first_of(BLOCK, given)
