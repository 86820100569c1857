"""The steps of compositions and what heads go by, for studies and the library."""

from dataclasses import dataclass
from typing import Annotated

from secateur.heads.options import AtLeastOne, AtOnce
from secateur.heads.policies import plain
from secateur.layers.options import Half
from secateur.layers.strategies import STRATEGIES

Share = Annotated[float | None, {"exclusiveMinimum": 0, "maximum": 1}]


@dataclass(frozen=True, kw_only=True)
class ImportanceOptions:
    """Keys of an entry of `compose` (`secateur.core.options`)."""

    importance: AtOnce = "gradient"
    """Which importance decides what heads go."""
    utterances: AtLeastOne = 100
    """Utterances of every language's dev set that importances are estimated on, where no entry of `heads` says it."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """An entry of a chain of `compose` (`secateur.core.options`); it does one thing, see `secateur.compose.study`."""

    layers: Annotated[int | None, {"minimum": 1}] = None
    """Layers to keep, of those that are left of the part that `of` names, as `strategy` says which."""
    strategy: str = STRATEGIES.names()[0]
    """How layers are chosen."""
    of: Half = "encoder"
    """Whose layers go - the encoder's, or a hybrid model's attention decoder's."""
    heads: Share = None
    """Share to remove of the heads that are left, in the order of `policy`."""
    policy: str = plain()
    """In which order heads go."""
    channels: Share = None
    """Share to remove of the channels of each convolution of the front end (`input: conv2d`), those of the smallest
    slopes first."""
    mask: str | None = None
    """A pruning method that leaves one mask, for all languages, with `sparsity`; what is left is trained as `schedule`
    says, if the method trains."""
    sparsity: Annotated[float | None, {"exclusiveMinimum": 0, "exclusiveMaximum": 1}] = None
    """Share of the weights that a mask removes."""
    schedule: str | None = None
    """An entry of `pruning` with the options of the method; by default the first."""
    int8: bool | None = None
    """As the last step, true: what the chain makes is a system in int8, too, by ONNX Runtime, as `export` makes it."""
    recover: str | None = None
    """An entry of `training` by which what is left is trained on."""
