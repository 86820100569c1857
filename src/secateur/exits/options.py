"""Where and when utterances leave a model early, for studies, the command line and the library."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

Measure = Literal["entropy", "agreement"]
Layer = Annotated[int, {"minimum": 1}]
Depth = Annotated[float, {"exclusiveMinimum": 0}]


@dataclass(frozen=True, kw_only=True)
class ExitOptions:
    """Keys of an entry of `exits` (`secateur.core.options`)."""

    at: Annotated[tuple[Layer, ...] | None, {"minItems": 1, "uniqueItems": True}] = None
    """Layers after which utterances may leave; by default those of the model's intermediate CTC."""
    measures: Annotated[tuple[Measure, ...], {"minItems": 1, "uniqueItems": True}] = ("entropy",)
    """What decides. `entropy`, of a head's posteriors, mean over frames; `agreement`, of the greedy outputs of two
    heads after one another."""
    mean_layers: Annotated[tuple[Depth, ...] | None, {"uniqueItems": True}] = None
    """Mean numbers of layers, over the frames of the dev data, that a threshold is chosen to come near to; beside them
    the threshold with the fewest layers and no more errors on dev than the whole model, and every exit for all
    utterances alike. By default all numbers between the first exit and the last layer."""

    def of_model(self, heads: Iterable[int], layers: int) -> "ExitOptions":
        """These, and where none are given those of a model with so many layers and CTC heads after some of them."""
        at = tuple(sorted(self.at or heads))
        depths = tuple(range(layers - 1, at[0], -1)) if at and self.mean_layers is None else self.mean_layers
        return replace(self, at=at, mean_layers=depths)
