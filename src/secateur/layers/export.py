"""Sub-models as checkpoints of their own."""

from collections.abc import Iterable
from pathlib import Path

from secateur.models.checkpoint import save_model
from secateur.models.load import Loaded, load_model, smaller
from secateur.models.surgery.layers import keep_layers
from secateur.models.types import ENCODER


def export(folder: str | Path, layers: Iterable[int], output: str | Path, of: str = ENCODER) -> Loaded:
    """Write the sub-model of the checkpoint in `folder` with these `layers` as a checkpoint of its own, and return it.

    It holds the weights of the kept layers only, and its configuration lists them (`secateur.models.load.smaller`). It
    loads as any other checkpoint does, and its outputs are those of `keep_layers`, bit by bit.
    """
    loaded = load_model(folder)
    keep_layers(loaded.model, layers, of)
    config = smaller(loaded.config, loaded.model)
    save_model(output, loaded.model, config, loaded.tokens)
    return Loaded(loaded.model, config, loaded.tokens)
