"""Those whose output is most like their input, as measured beforehand."""

import math

from secateur.core.errors import SecateurError
from secateur.layers.strategies import Found, Given

NEEDS = ("similarity",)
SHOWN = {"order": 20, "default": True}


def order(given: Given) -> Found:
    """By similarity; of equal ones the later layer goes first. Raises SecateurError if not every layer has one."""
    similarity = given.similarity or {}
    known = {layer for layer, value in similarity.items() if math.isfinite(value)}
    if known != set(given.layers):
        raise SecateurError(
            f"strategy svcca: similarities of the layers {sorted(known)} were given; give a number for each layer of "
            f"the model, {sorted(given.layers)}"
        )
    return Found(sorted(sorted(given.layers, reverse=True), key=lambda layer: -similarity[layer])[:-1])
