"""What may take part in every step of a training."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch

from secateur.speech.data import Batch


class TrainingHook:
    """What takes part in training: pruning, for one. This base class does nothing.

    A hook gets to see every step; what it must remember over a restart goes through `tensors` and `restore`.
    """

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Once, after the model and the optimizer are made or restored."""

    def before_forward(self, step: int, batch: Batch) -> None:
        """Before each micro-batch of step `step` (from 0)."""

    def after_backward(self, step: int, batch: Batch) -> None:
        """When the step's gradients are complete, before clipping."""

    def after_update(self, step: int, batch: Batch) -> None:
        """After the optimizer has changed the weights."""

    def evaluating(self, batch: Batch) -> AbstractContextManager:
        """A context in which the model is as it is to be evaluated on `batch` (dev data)."""
        return nullcontext()

    def tensors(self) -> dict[str, torch.Tensor]:
        """What must be saved to resume."""
        return {}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take back what `tensors` gave."""
