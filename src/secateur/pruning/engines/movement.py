"""Movement pruning (Sanh et al. 2020): the weights stay that training moves away from zero, however large they are.

The score of a weight is S = −Σ_t (∂L/∂W'_t)·W_t, W' = m ⊙ W being what runs: the gradient passes to the scores of all
weights, those outside the mask included (straight through), and to the weights inside it alone. Every n steps the mask
keeps the greatest scores. Weights outside keep their values until masks are fixed.
"""

import torch

from secateur.pruning.engines.adaptive import AdaptiveMask
from secateur.pruning.engines.calendar import Calendar
from secateur.pruning.engines.dynamic import Softly
from secateur.pruning.engines.given import Given
from secateur.pruning.engines.mask import Mask, kept
from secateur.pruning.engines.ranking import largest, magnitude_mask
from secateur.speech.data import Batch


class MovementMask(AdaptiveMask):
    """Adapt one mask by the movement of weights; it begins as `mask`, before anything has moved."""

    def __init__(self, mask: Mask, calendar: Calendar):
        super().__init__(mask, calendar, how=Softly("straight_through"))
        self.scores: dict[str, torch.Tensor] = {}

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().start(model, optimizer)
        found = self._restored or {}
        for name, weight in self._weights.items():
            saved = found.get(f"score.{name}")
            self.scores[name] = torch.zeros_like(weight.detach()) if saved is None else saved.to(weight.device)

    def region(self, language: str) -> Mask:
        return self.masks[language]

    @torch.no_grad()
    def after_backward(self, step: int, batch: Batch) -> None:
        if not self.settled:
            aside = self._aside or [None] * len(self._parameters)
            for score, weight, outside in zip(self.scores.values(), self._parameters, aside, strict=True):
                if weight.grad is not None:
                    whole = weight if outside is None else weight + outside
                    score.addcmul_(weight.grad, whole, value=-1.0)
        super().after_backward(step, batch)

    def rank(self, sparsity: float, candidates: Mask) -> Mask:
        """The mask of the greatest scores."""
        least = min(float(score.min()) for score in self.scores.values())
        # Ranking compares magnitudes: what is counted from the least score is positive, and in the same order.
        above = {name: score - least for name, score in self.scores.items()}
        return largest(above, kept(candidates.total, sparsity))

    def tensors(self) -> dict[str, torch.Tensor]:
        return super().tensors() | {f"score.{name}": score for name, score in self.scores.items()}


def moving(given: Given) -> MovementMask:
    """From the largest of the weights that are ranked, with the options of `secateur.pruning.options`."""
    mask = magnitude_mask(given.weights, given.sparsity, given.ranking)
    return MovementMask(mask, Calendar([given.sparsity], given.steps, given.options["adapt_every"], given.settle))
