"""What a training hook is made from. No heavy imports: the registry of methods reads this, too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from secateur.pruning.engines.mask import Mask


@dataclass(frozen=True)
class Given:
    """What a method makes its training hook from.

    Attributes:
        weights: prunable weights by name, of the model that is ranked; none for methods that start from masks.
        within: the `Mask` that the new one must be nested in, or None.
        masks: the `Mask` of each language, for methods that start from masks.
        sparsity: the share of `weights` to remove.
        levels: for methods that start from masks and go on to the target: the sparsities on the way.
        steps: of the whole training.
        settle: share of the last level in which masks that adapt are fixed.
        ranking: see `secateur.pruning.engines.ranking.magnitude_mask`.
        seed, languages: those of the training.
        options: the method's own.
    """

    weights: "Mapping[str, Tensor]"
    within: "Mask | None"
    masks: "Mapping[str, Mask]"
    sparsity: float
    levels: list[float]
    steps: int
    settle: float
    ranking: str
    seed: int
    languages: list[str]
    options: Mapping[str, Any]
