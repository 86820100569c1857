"""Late regularisers: a trained dense model is trained on with intermediate CTC, stochastic depth or both.

Intermediate CTC at its full weight makes the loss of a trained model jump: its inner layers never had to answer to the
CTC head. A weight that rises from zero is one remedy, a lower learning rate another.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from secateur.models.load import Loaded, rebuild
from secateur.speech.data import Batch
from secateur.training.hooks import TrainingHook


def regularised(
    loaded: Loaded, intermediate_ctc: Mapping[str, Any], stochastic_depth: float, flat: bool = False
) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The model of a checkpoint with these regularisers in place of its own, and its configuration.

    Neither adds a weight: the norm and the CTC head after the inner layers are those after the last one. With `flat`,
    all layers are skipped with the same probability, as in LayerDrop (Fan, Grave & Joulin 2020).
    """
    config = loaded.config | {"intermediate_ctc": dict(intermediate_ctc), "stochastic_depth": stochastic_depth}
    config |= {"flat_depth": True} if flat else {}
    model = rebuild(config, loaded.tokens)
    model.load_state_dict(loaded.model.state_dict(), strict=True)
    return model, config


class RisingWeight(TrainingHook):
    """The weight of intermediate CTC rises in a line: w·(n + 1) / `steps` at step n, and w from step `steps` − 1 on.

    The model is evaluated without: by its last layer alone, as it was trained before, so that dev losses of all
    schedules and regularisers can be compared.
    """

    def __init__(self, model: torch.nn.Module, steps: int):
        self.model, self.steps, self.weight = model, steps, model.interctc_weight

    def before_forward(self, step: int, batch: Batch) -> None:
        self.model.interctc_weight = self.weight * min(1.0, (step + 1) / self.steps) if self.steps else self.weight

    @contextmanager
    def evaluating(self, batch: Batch) -> Iterator[None]:
        with without_intermediate_ctc(self.model):
            yield


class Skipping(TrainingHook):
    """Layers of `model` are skipped in evaluation as they are in training; nothing else is as in training.

    What a dev loss then says of a model is what its training begins with, but for dropout and SpecAugment.
    """

    def __init__(self, model: torch.nn.Module):
        self.model = model

    @contextmanager
    def evaluating(self, batch: Batch) -> Iterator[None]:
        layers = list(self.model.encoder.encoders)
        for layer in layers:
            layer.training = True  # of the layer alone: the modules in it, dropout among them, have a mode of their own
        try:
            yield
        finally:
            for layer in layers:
                layer.training = False


@contextmanager
def without_intermediate_ctc(model: torch.nn.Module) -> Iterator[None]:
    """The loss of `model` is that of its last layer alone."""
    weight, model.interctc_weight = model.interctc_weight, 0.0
    try:
        yield
    finally:
        model.interctc_weight = weight
