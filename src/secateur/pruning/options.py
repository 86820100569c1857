"""Options of schedules: those of all methods, as a class, and keys that several methods have, as `Method.options` wants
them.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

Ranking = Literal["global", "layerwise", "lamp", "1x8", "2of4"]
Sparsity = Annotated[float, {"exclusiveMinimum": 0, "exclusiveMaximum": 1}]


@dataclass(frozen=True, kw_only=True)
class RankingOptions:
    """What is ranked, and together (`secateur.core.options`)."""

    ranking: Ranking = "global"
    """Rank all prunable weights together, every matrix by itself, or all by magnitudes that adapt to their matrix
    (lamp: Lee et al. 2021); or whole blocks of eight weights of a row (1x8), or two of every four (2of4, which is a
    sparsity of 0.5)."""
    include: tuple[str, ...] = ()
    """Regular expressions; weights whose names match are prunable, beside the matrices of encoder, predictor and
    decoder. By default never biases, norms, embeddings, the front end or the output layer."""
    exclude: tuple[str, ...] = ()
    """Regular expressions; weights whose names match are not prunable."""


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions(RankingOptions):
    """An entry of `pruning`, but for `levels` and the options of methods (`secateur.core.options`)."""

    training: str
    """An entry of `training`. Its steps are those of one level (T), and its schedule starts again at each; but `wsd`
    stays constant until masks are fixed in the last level, and then goes down."""
    steps_per: Literal["language", "all"] = "language"
    """Whether T counts the steps of each language, so that a model of L languages has L times as many, or of all
    together."""
    settle: Annotated[float, {"minimum": 0, "exclusiveMaximum": 1}] = 0.4
    """Share of the last level, its end, in which masks that adapt are fixed."""
    distil: Annotated[float, {"minimum": 0, "maximum": 1}] = 0
    """Weight of what pruned models and dense controls learn from the dense multilingual model, beside their own loss
    (Hinton et al. 2015); 0 for nothing."""


@dataclass(frozen=True, kw_only=True)
class CubicLevels:
    """Zhu & Gupta's schedule (2018), which removes most in its first levels (`secateur.core.options`)."""

    type: Literal["cubic"] = "cubic"
    """Zhu & Gupta's schedule (2018), which removes most in its first levels."""
    target: Sparsity
    """Sparsity of the last level."""
    count: Annotated[int, {"minimum": 1}]
    """Number of levels."""
    initial: Annotated[float, {"minimum": 0, "exclusiveMaximum": 1}] = 0
    """Sparsity before the first level."""


ADAPT_EVERY = {
    "description": "Steps of a language between adaptations of its mask (n).",
    "type": "integer",
    "minimum": 1,
}
SOFT = {
    "description": "Between adaptations the forward pass uses whatever pruned weights have grown back to (regrow), or "
    "the masked weights, with a straight-through gradient that trains all that may be taken up; that sets nothing to "
    "zero before masks are fixed.",
    "enum": ["regrow", "straight_through"],
    "default": "regrow",
}
FREE_ZONE = {
    "description": "With regrow, an adaptation sets to zero all weights that no mask holds (zero), or only those that "
    "leave one, while others keep what they have grown to (keep).",
    "enum": ["zero", "keep"],
    "default": "zero",
}
MOMENTS = {
    "description": "AdamW's moments of weights that an adaptation sets to zero - keep them, clear the first one (the "
    "momentum), or clear both; what is cleared gets a bias correction of its own.",
    "enum": ["keep", "first", "clear"],
    "default": "keep",
}
DROP = {
    "description": "Share of the weights of a mask that is exchanged at first, which falls to zero (RigL's α).",
    "type": "number",
    "exclusiveMinimum": 0,
    "exclusiveMaximum": 1,
    "default": 0.3,
}
CALIBRATION = {
    "description": "Training utterances of a language that methods without training look at.",
    "type": "integer",
    "minimum": 1,
    "default": 32,
}
ADAPTING = {"adapt_every": ADAPT_EVERY, "soft": SOFT, "free_zone": FREE_ZONE, "moments": MOMENTS}
"""The keys of methods whose masks adapt."""
