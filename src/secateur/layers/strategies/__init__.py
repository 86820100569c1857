"""The strategies that choose layers, one file each, and the registry that finds them by listing this folder.

To add one, add a file here: `some_strategy.py` is the strategy `some-strategy`. The first line of its docstring
describes it in the schema. It has `order(given)`, which takes a `Given` and answers with `Found`, and may have, as
literals at the top of the file (`secateur.core.plugins`),

    NEEDS   what is costly to have: `similarity`, of the layers, measured beforehand; `memory` for the hidden states of
            the dev data, for one that scores sub-models again and again
    SHOWN   {"order": its place in figures}; {"default": True} for one that studies have which name none

Its module is imported only where it is used, and is named by the command that does: its edits rerun its searches alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secateur.core.plugins import Plugins

STRATEGIES = Plugins("strategy", __name__, Path(__file__).parent, hyphens=True)
SIMILARITY, MEMORY = "similarity", "memory"
Layers = tuple[int, ...]


@dataclass(frozen=True)
class Given:
    """What a strategy may go by.

    Attributes:
        layers: numbers of the layers of the model.
        scorer: scores sub-models on dev data (`secateur.layers.search.Scorer`).
        seed: for what is drawn at random.
        similarity: how much the output of each layer is like its input, for strategies that need it.
    """

    layers: Layers
    scorer: Any = None
    seed: int = 1
    similarity: Mapping[int, float] | None = None


@dataclass(frozen=True)
class Found:
    """What a strategy answers.

    Attributes:
        order: the layers in the order of their removal; one layer never is.
        scores: of every depth, from the whole model down to one layer, if the strategy knows them already.
        record: what else is to be written down.
    """

    order: list[int]
    scores: Sequence[Any] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def needs(name: str) -> tuple[str, ...]:
    """What a strategy needs that is costly to have. Raises SecateurError if there is none of this name."""
    return STRATEGIES.named(name).get("NEEDS", ())


def without(layers: Layers, layer: int) -> Layers:
    """`layers` without one of them."""
    return tuple(other for other in layers if other != layer)
