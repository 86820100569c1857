"""An exponential moving average of a model's weights (Polyak & Juditsky 1992): better than the weights of any one step
while the learning rate is high, so that a long training can be stopped, and used, at any time.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch


class MovingAverage:
    """The average a of a model's parameters w: after step n, a ← d·a + (1 − d)·w with d = min(decay, n / (n + 9)).

    The rate rises from step 1 on, which lets the random weights of the beginning be forgotten.

    Args:
        model: its parameters as they are now begin the average.
        decay: 0 for no average; `applied` then leaves the model as it is.
    """

    def __init__(self, model: torch.nn.Module, decay: float):
        self.decay, self.updates = decay, 0
        self._weights = dict(model.named_parameters()) if decay else {}
        self._average = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """After the optimizer has changed the weights."""
        self.updates += 1
        if self._average:
            decay = min(self.decay, self.updates / (self.updates + 9))
            torch._foreach_lerp_(list(self._average.values()), list(self._weights.values()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the model has the average for its weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def finish(self) -> None:
        """Leave the average in the model."""
        self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weight in self._weights.items():
            weight.data, self._average[name] = self._average[name], weight.data

    def tensors(self) -> dict[str, torch.Tensor]:
        """What must be saved to go on."""
        return {**self._average, **({"updates": torch.tensor(self.updates)} if self._average else {})}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take back what `tensors` gave."""
        if self._average:
            self.updates = int(tensors["updates"])
            for name, average in self._average.items():
                average.copy_(tensors[name])
