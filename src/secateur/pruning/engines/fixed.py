"""Training under a mask that does not change: IMP, LTH and LAP within a level, and the controls.

Weights outside the mask start at zero and get no gradient, so AdamW's moments of them stay zero, and with them the
update and the weight decay: the weights stay exactly zero without being touched.
"""

import torch

from secateur.pruning.engines.mask import Mask
from secateur.speech.data import Batch
from secateur.training.loop import Method


class FixedMask(Method):
    """Train m ⊙ θ; the weights outside `mask` are zero before, during and after."""

    def __init__(self, mask: Mask):
        self.mask = mask

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.mask.apply_(model)
        self._parameters = [model.get_parameter(name) for name in self.mask]
        self._kept = [bits.to(p.device, p.dtype) for bits, p in zip(self.mask.values(), self._parameters, strict=True)]

    def after_backward(self, step: int, batch: Batch) -> None:
        # A layer that stochastic depth skips has no gradient.
        pairs = [(p.grad, kept) for p, kept in zip(self._parameters, self._kept, strict=True) if p.grad is not None]
        if pairs:
            torch._foreach_mul_(*map(list, zip(*pairs, strict=True)))
