"""As many from every attention block: its least important head first."""

from secateur.heads.order import Given, by_attention
from secateur.models.surgery.heads import Head

SHOWN = {"order": 20, "default": True}


def order(given: Given) -> list[Head]:
    """Blocks of fewer heads get turns at the same shares as those of more."""
    blocks = by_attention(given.ascending)
    turns = {head: (place + 0.5) / len(block) for block in blocks.values() for place, head in enumerate(block)}
    return sorted(given.ascending, key=turns.__getitem__)
