"""Adaptive masking of one language (S3): the mask may change within a level, every n steps.

Pruned weights are set to zero but stay trainable. At an adaptation all magnitudes are ranked again, the largest become
the new mask at the same sparsity, and the rest is set to zero. The last adaptation, at the end of training, fixes the
mask, and the weights obey it exactly.

`soft` says what happens between adaptations, which the sources leave open. `regrow`: the forward pass uses whatever the
pruned weights have grown back to. `straight_through`: the forward pass uses m ⊙ θ, and the gradient at m ⊙ θ trains
all of θ.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from secateur.pruning.engines.given import Given
from secateur.pruning.engines.mask import ONE_FOR_ALL, Mask
from secateur.pruning.engines.moments import clear_moments
from secateur.pruning.engines.ranking import magnitude_mask
from secateur.speech.data import Batch
from secateur.training.hooks import TrainingHook


class AdaptiveMask(TrainingHook):
    """Adapt `mask` every `every` steps and after the last of `steps`.

    Attributes:
        mask: the mask as it is; final when training ends.
        log: one row per adaptation, (step, kept, removed, regrown) in numbers of weights.
    """

    log_columns = ("step", "kept", "removed", "regrown")

    def __init__(
        self,
        mask: Mask,
        sparsity: float,
        every: int,
        steps: int,
        ranking: str = "global",
        soft: str = "regrow",
        clear_moments: bool = True,
    ):
        self.mask, self.sparsity, self.every, self.steps = mask, sparsity, every, steps
        self.ranking, self.soft, self.clear_moments = ranking, soft, clear_moments
        self.log: list[tuple[int, ...]] = []
        self._dense: list[torch.Tensor] | None = None
        self._resumed = False

    @property
    def masks(self) -> dict[str, Mask]:
        """The mask, for all languages."""
        return {ONE_FOR_ALL: self.mask}

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._weights = {name: model.get_parameter(name) for name in self.mask}
        self.mask = self.mask.to(next(iter(self._weights.values())).device)
        if not self._resumed:
            self.mask.apply_(self._weights)

    def before_forward(self, step: int, batch: Batch) -> None:
        if self.soft == "straight_through" and self._dense is None:
            self._swap_in()

    def after_backward(self, step: int, batch: Batch) -> None:
        if self._dense is not None:
            self._swap_out()

    def after_update(self, step: int, batch: Batch) -> None:
        last = step + 1 == self.steps
        if not last and (step + 1) % self.every:
            return
        with torch.no_grad():
            new = magnitude_mask(self._weights, self.sparsity, self.ranking)
            removed, regrown = (self.mask & ~new).kept, (new & ~self.mask).kept
            self.log.append((step + 1, new.kept, removed, regrown))
            self.mask = new
            if last or self.soft == "regrow":
                new.apply_(self._weights)
                if self.clear_moments:
                    clear_moments(self._optimizer, self._weights, new)

    @contextmanager
    def evaluating(self, batch: Batch) -> Iterator[None]:
        if self.soft == "regrow":
            yield
            return
        self._swap_in()
        yield
        self._swap_out()

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"mask": self.mask.flat, "log": torch.tensor(self.log, dtype=torch.int64)}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.mask = Mask(self.mask.shapes, tensors["mask"])
        self.log = [tuple(row) for row in tensors["log"].tolist()]
        self._resumed = True

    @torch.no_grad()
    def _swap_in(self) -> None:
        self._dense = [weight.clone() for weight in self._weights.values()]
        self.mask.apply_(self._weights)

    @torch.no_grad()
    def _swap_out(self) -> None:
        torch._foreach_copy_(list(self._weights.values()), self._dense)
        self._dense = None


def largest(given: Given) -> AdaptiveMask:
    """The largest of the weights that are ranked, with the options of `secateur.pruning.options`."""
    options = given.options
    mask = magnitude_mask(given.weights, given.sparsity, given.ranking, given.within)
    how = (given.ranking, options["soft"], not options["keep_moments"])
    return AdaptiveMask(mask, given.sparsity, options["adapt_every"], given.steps, *how)
