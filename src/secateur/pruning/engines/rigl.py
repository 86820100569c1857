"""RigL (Evci et al. 2020): the smallest weights leave a mask, and those of the greatest gradient enter it.

Every n steps, of every matrix by itself, the share f = (α/2)·(1 + cos(t·π/T)) of its weights in the mask is dropped,
the smallest first, and as many are grown where the gradient of the loss at m ⊙ θ is greatest (their equation 1 and
algorithm 1). What is grown begins at zero, so that nothing need move past a threshold; a weight that is dropped and
grown at once keeps its value. After T steps the mask stays.
"""

import math
from collections.abc import Mapping

import torch

from secateur.pruning.engines.calendar import Calendar
from secateur.pruning.engines.given import Given
from secateur.pruning.engines.mask import ONE_FOR_ALL, Mask
from secateur.pruning.engines.moments import CLEAR, Moments
from secateur.pruning.engines.ranking import largest, magnitude_mask
from secateur.speech.data import Batch
from secateur.training.hooks import TrainingHook


class RigL(TrainingHook):
    """Train m ⊙ θ, and let the mask follow the gradient.

    Args:
        mask: at the beginning; every matrix keeps its number of weights.
        calendar: when the mask changes: every n steps before it is fixed.
        drop: α, the share of the weights that is dropped at first.
    """

    log_columns = ("step", "kept", "removed", "regrown")

    def __init__(self, mask: Mask, calendar: Calendar, drop: float = 0.3):
        self.mask, self.calendar, self.drop = mask, calendar, drop
        self.log: list[tuple[int, ...]] = []
        self._restored: Mapping[str, torch.Tensor] | None = None

    @property
    def masks(self) -> dict[str, Mask]:
        """The mask, for all languages."""
        return {ONE_FOR_ALL: self.mask}

    def share(self, done: int) -> float:
        """f after so many steps."""
        return self.drop / 2 * (1 + math.cos(math.pi * done / self.calendar.fixed))

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._weights = {name: model.get_parameter(name) for name in self.mask}
        self.mask = self.mask.to(next(iter(self._weights.values())).device)
        self._moments = Moments(optimizer, self._weights, CLEAR)
        self._moments.restore(self._restored or {})
        self._hold(self.mask)

    def _hold(self, mask: Mask) -> None:
        """Make a mask the one that stays until the next exchange."""
        self.mask = mask
        self._outside = {name: (~bits).float() for name, bits in mask.items()}
        mask.apply_(self._weights)

    @torch.no_grad()
    def after_backward(self, step: int, batch: Batch) -> None:
        done = step + 1
        if done % self.calendar.every == 0 and done < self.calendar.fixed:
            self._exchange(done)
        for name, bits in self.mask.items():
            gradient = self._weights[name].grad
            if gradient is not None:
                gradient.mul_(bits)

    def after_update(self, step: int, batch: Batch) -> None:
        self._moments.correct(self._outside)

    def _exchange(self, done: int) -> None:
        bits = {}
        for name, old in self.mask.items():
            weight, gradient = self._weights[name], self._weights[name].grad
            count = math.floor(self.share(done) * int(old.count_nonzero()))
            if gradient is None or not count:  # stochastic depth skipped the layer
                bits[name] = old.clone()
                continue
            one = Mask.of({name: old})
            stays = largest({name: weight.detach()}, one.kept - count, one)
            bits[name] = (stays | largest({name: gradient}, count, ~stays))[name]
        new = Mask.of(bits)
        left, entered = self.mask & ~new, new & ~self.mask
        self._hold(new)
        self._moments.clear(left | entered)
        self.log.append((done, new.kept, left.kept, entered.kept))

    def tensors(self) -> dict[str, torch.Tensor]:
        log = torch.tensor(self.log, dtype=torch.int64)
        return {"mask": self.mask.flat, "log": log, **self._moments.tensors()}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.mask = Mask(self.mask.shapes, tensors["mask"])
        self.log = [tuple(row) for row in tensors["log"].tolist()]
        self._restored = tensors


def growing(given: Given) -> RigL:
    """From the largest of the weights that are ranked, with the options of `secateur.pruning.options`."""
    mask = magnitude_mask(given.weights, given.sparsity, given.ranking)
    calendar = Calendar([given.sparsity], given.steps, given.options["adapt_every"], given.settle)
    return RigL(mask, calendar, given.options["drop"])
