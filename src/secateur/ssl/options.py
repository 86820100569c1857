"""How an encoder is pretrained: `pretraining` of an entry of `ssl`, `--head` on the command line, its class here."""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """The options of masked prediction (`secateur.core.options`)."""

    clusters: Annotated[int, {"minimum": 2}]
    # Without a docstring: every iteration of a study has its own.
    codeword: Annotated[int, {"minimum": 1}] = 256
    """Width of the codewords."""
    temperature: Annotated[float, {"exclusiveMinimum": 0}] = 0.1
    """τ, by which similarities to the codewords are divided."""
    mask_probability: Annotated[float, {"exclusiveMinimum": 0, "maximum": 1}] = 0.08
    """Share of frames at which a mask starts."""
    mask_length: Annotated[int, {"minimum": 1}] = 10
    """Frames that a mask covers."""
    masked_weight: Annotated[float, {"minimum": 0, "maximum": 1}] = 1.0
    """Weight α of masked frames in the loss; 1 − α is that of the others."""
