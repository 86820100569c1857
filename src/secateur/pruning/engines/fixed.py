"""Training under a mask that does not change: IMP, LTH and LAP within a level, and the controls.

Weights outside the mask start at zero and get no gradient, so AdamW's moments of them stay zero, and with them the
update and the weight decay: the weights stay exactly zero without being touched.
"""

import random

import torch

from secateur.pruning.engines.given import Given
from secateur.pruning.engines.mask import ONE_FOR_ALL, Mask
from secateur.pruning.engines.ranking import magnitude_mask
from secateur.speech.data import Batch
from secateur.training.hooks import TrainingHook


class FixedMask(TrainingHook):
    """Train m ⊙ θ; the weights outside `mask` are zero before, during and after."""

    def __init__(self, mask: Mask):
        self.mask = mask

    @property
    def masks(self) -> dict[str, Mask]:
        """The mask, for all languages."""
        return {ONE_FOR_ALL: self.mask}

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.mask.apply_(model)
        self._parameters = [model.get_parameter(name) for name in self.mask]
        self._kept = [bits.to(p.device, p.dtype) for bits, p in zip(self.mask.values(), self._parameters, strict=True)]

    def after_backward(self, step: int, batch: Batch) -> None:
        # A layer that stochastic depth skips has no gradient.
        pairs = [(p.grad, kept) for p, kept in zip(self._parameters, self._kept, strict=True) if p.grad is not None]
        if pairs:
            torch._foreach_mul_(*map(list, zip(*pairs, strict=True)))


def largest(given: Given) -> FixedMask:
    """The largest of the weights that are ranked."""
    return FixedMask(magnitude_mask(given.weights, given.sparsity, given.ranking, given.within))


def drawn(given: Given) -> FixedMask:
    """As many weights at random, others for every seed and language: one mask for all would control sharing, too."""
    seed = random.Random(f"{given.seed} {' '.join(given.languages)}").randrange(2**32)
    return FixedMask(Mask.random(given.weights, given.sparsity, seed))
