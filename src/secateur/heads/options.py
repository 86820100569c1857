"""How models without some of their heads are trained on, for studies and the library."""

from dataclasses import dataclass
from typing import Annotated

from secateur.heads.policies import plain

Rate = Annotated[float, {"exclusiveMinimum": 0}]
Share = Annotated[float, {"exclusiveMinimum": 0, "maximum": 1}]


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
