"""ASR Pathways (Yang et al. 2023, as S3 uses them): one shared θ, one mask per language, monolingual batches.

A batch of language z runs m_z ⊙ θ and trains only the weights inside m_z: the others keep their bytes, and so do their
optimiser's moments. What masks share is shared. Parameters that are not prunable (norms, biases, the output layer)
belong to all languages.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from secateur.data import Batch
from secateur.errors import SecateurError
from secateur.pruning.mask import Mask
from secateur.training import Method

MOMENTS = ("exp_avg", "exp_avg_sq")


class Pathways(Method):
    """Train the pathways `masks` (by language) of a model. When training ends, weights in no mask are zero."""

    def __init__(self, masks: Mapping[str, Mask], steps: int):
        self.masks, self.steps = dict(masks), steps
        self._regions: dict[str, list[torch.Tensor]] = {}
        self._aside: list[torch.Tensor] | None = None

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        names = next(iter(self.masks.values()))
        self._weights = {name: model.get_parameter(name) for name in names}
        self._parameters = list(self._weights.values())
        self.masks = {language: mask.to(self._parameters[0].device) for language, mask in self.masks.items()}

    def region(self, language: str) -> Mask:
        """The weights that a batch of `language` runs and trains."""
        return self.masks[language]

    def before_forward(self, step: int, batch: Batch) -> None:
        if self._aside is None:
            self._aside = self._enter(self._region(_language(batch)))

    def after_backward(self, step: int, batch: Batch) -> None:
        region = self._region(_language(batch))
        torch._foreach_mul_([parameter.grad for parameter in self._parameters], region)
        self._moments = [_outside(moments, region) for moments in self._states()]

    def after_update(self, step: int, batch: Batch) -> None:
        self._leave(batch)
        if step + 1 == self.steps:
            union(self.masks.values()).apply_(self._weights)

    def _leave(self, batch: Batch) -> None:
        """Put back what lies outside the region of the batch's language: weights and moments."""
        region = self._region(_language(batch))
        with torch.no_grad():
            _restore(self._parameters, region, self._aside)
            for moments, aside in zip(self._states(), self._moments, strict=False):
                _restore(moments, region, aside)
        self._aside = None

    @contextmanager
    def evaluating(self, batch: Batch) -> Iterator[None]:
        mask = [bits.to(torch.float32) for bits in self.masks[_language(batch)].values()]
        aside = self._enter(mask)
        yield
        _restore(self._parameters, mask, aside)

    def _enter(self, region: list[torch.Tensor]) -> list[torch.Tensor]:
        """Set the weights outside `region` to zero; return them, zero inside."""
        with torch.no_grad():
            aside = _outside(self._parameters, region)
            torch._foreach_mul_(self._parameters, region)
        return aside

    def _region(self, language: str) -> list[torch.Tensor]:
        """The region of a language as numbers 0 and 1, by matrix."""
        if language not in self._regions:
            if language not in self.masks:
                raise SecateurError(f"language {language!r} has no mask; there are masks of {', '.join(self.masks)}")
            self._regions[language] = [bits.to(torch.float32) for bits in self.region(language).values()]
        return self._regions[language]

    def _states(self) -> Iterator[list[torch.Tensor]]:
        """AdamW's moments of the prunable weights; none before the first update."""
        for key in MOMENTS:
            if all(key in self._optimizer.state.get(parameter, {}) for parameter in self._parameters):
                yield [self._optimizer.state[parameter][key] for parameter in self._parameters]


def union(masks) -> Mask:
    """The union of masks."""
    masks = list(masks)
    result = masks[0]
    for mask in masks[1:]:
        result = result | mask
    return result


def _language(batch: Batch) -> str:
    language = batch.languages[0]
    if any(other != language for other in batch.languages):
        raise SecateurError(
            f"a batch mixes languages ({', '.join(sorted(set(batch.languages)))}); group it by language"
        )
    return language


# Products with 0 and 1 are exact, and several times faster than selecting by a boolean mask.


def _outside(tensors: list[torch.Tensor], region: list[torch.Tensor]) -> list[torch.Tensor]:
    """What lies outside the region, zero inside."""
    return list(torch._foreach_sub(tensors, torch._foreach_mul(tensors, region)))


def _restore(tensors: list[torch.Tensor], region: list[torch.Tensor], outside: list[torch.Tensor]) -> None:
    """Put `outside` back where it was, in place; inside the region the tensors stay as they are."""
    torch._foreach_mul_(tensors, region)
    torch._foreach_add_(tensors, outside)
