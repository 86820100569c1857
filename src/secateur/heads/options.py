"""What heads are worth, how many go, and how models are trained on without them, for studies and the library."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from secateur.heads.policies import plain

Rate = Annotated[float, {"exclusiveMinimum": 0}]
Share = Annotated[float, {"exclusiveMinimum": 0, "maximum": 1}]
AtLeastOne = Annotated[int, {"minimum": 1}]
Slope = Literal["gradient", "gradient-layer-l2", "gradient-layer-max", "gradient-min-max"]
Control = Literal["magnitude", "random"]
AGAIN = "gradient-again"
AtOnce = Literal[Slope, Control]
Importance = Literal[Slope, "gradient-again", Control]
IMPORTANCES: tuple[Importance, ...] = get_args(Importance)


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """What importances are estimated on (`secateur.core.options`)."""

    utterances: AtLeastOne = 100
    """Utterances of every language's dev set that importances are estimated on, if there are as many."""


@dataclass(frozen=True, kw_only=True)
class EstimateOptions(SampleOptions):
    """And how often those of heads are (`secateur.core.options`)."""

    again: Annotated[int | None, {"minimum": 1}] = None
    """Heads that are removed before `gradient-again` is estimated again; null leaves it out."""


@dataclass(frozen=True, kw_only=True)
class HeadOptions(EstimateOptions):
    """Keys of an entry of `heads` (`secateur.core.options`)."""

    importances: Annotated[tuple[Importance, ...], {"minItems": 1, "uniqueItems": True}] = ("gradient",)
    """Which importances decide the order of removal. `gradient` - what the loss changes by without a head, to first
    order; the same by the L2 norm or the largest value of its layer, or scaled from 0 to 1; `gradient-again` -
    estimated again after removals. Controls - `magnitude`, `random`. The first is used with all policies, the others
    with `global` alone."""
    shares: Annotated[tuple[Share, ...], {"minItems": 1, "uniqueItems": True}] = (0.25, 0.5, 0.75, 1.0)
    """Shares of all heads to remove."""


@dataclass(frozen=True, kw_only=True)
class LmPruningOptions:
    """`pruned` of an entry of `language_models`, but for which one is pruned (`secateur.core.options`)."""

    layers: Annotated[int | None, {"minimum": 1}] = None
    """Layers that stay; those go whose removal costs least on the dev text. Null for all."""
    heads: Annotated[float, {"minimum": 0, "maximum": 1}] = 0.0
    """Share of the heads of these layers that are removed, by the gradient."""
    sparsity: Annotated[float, {"minimum": 0, "exclusiveMaximum": 1}] = 0.0
    """Share of the layers' weights that are set to zero, by magnitude. That makes a smaller file, and nothing
    faster."""


@dataclass(frozen=True, kw_only=True)
class RecoveryOptions:
    """`recovery` of an entry of `heads` (`secateur.core.options`)."""

    training: str
    """An entry of `training`; with `rates`, all of it but the learning rate."""
    rates: Annotated[tuple[Rate, ...], {"uniqueItems": True}] = (1.0e-4, 3.0e-4)
    """Learning rates that are all tried, by one job. The model with the lowest dev loss is kept, or the one before if
    none is lower. Without any, that of `training` is used, whatever comes of it."""
    distil: Annotated[float, {"minimum": 0, "maximum": 1}] = 0.0
    """Weight of what a model learns from the whole one, by the posteriors of the CTC head and the decoder, against its
    own loss; 0 for nothing."""
    policies: Annotated[tuple[str, ...], {"uniqueItems": True}] = (plain(),)
    """Of which policies."""
    shares: Annotated[tuple[Share, ...], {"uniqueItems": True}] = (0.5,)
    """At which shares."""

    def of(self, policy: str, share: float) -> bool:
        """Whether models that a policy took this share from are trained on."""
        return policy in self.policies and share in self.shares
