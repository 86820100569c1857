"""ASR Pathways (Yang et al. 2023, as S3 uses them): one shared θ, one mask per language, monolingual batches.

A batch of language z runs m_z ⊙ θ and trains only the weights inside m_z: the others keep their bytes, and so do their
optimiser's moments. What masks share is shared. Parameters that are not prunable (norms, biases, the output layer)
belong to all languages.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch

from secateur.core.errors import SecateurError
from secateur.pruning.engines.mask import Mask, union
from secateur.pruning.engines.moments import MOMENTS
from secateur.speech.data import Batch
from secateur.training.hooks import TrainingHook


class Pathways(TrainingHook):
    """Train the pathways `masks` (by language) of a model. When training ends, weights in no mask are zero."""

    def __init__(self, masks: Mapping[str, Mask], steps: int):
        self.masks, self.steps = dict(masks), steps
        self._outsides: dict[tuple[str, str], list[torch.Tensor]] = {}
        self._aside: list[torch.Tensor] | None = None
        self._moments: list[torch.Tensor] = []
        self._moments_aside: list[torch.Tensor] = []

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        names = next(iter(self.masks.values()))
        self._weights = {name: model.get_parameter(name) for name in names}
        self._parameters = list(self._weights.values())
        self.masks = {language: mask.to(self._parameters[0].device) for language, mask in self.masks.items()}

    def region(self, language: str) -> Mask:
        """The weights that a batch of `language` trains."""
        return self.masks[language]

    def runs(self, language: str) -> Mask:
        """The weights that a batch of `language` runs, of those that it trains."""
        return self.region(language)

    def language(self, batch: Batch) -> str:
        """The language of a batch. Raises SecateurError if it has several, or one without a mask."""
        language = batch.languages[0]
        if any(other != language for other in batch.languages):
            raise SecateurError(
                f"a batch mixes languages ({', '.join(sorted(set(batch.languages)))}); group it by language"
            )
        if language not in self.masks:
            raise SecateurError(f"language {language!r} has no mask; there are masks of {', '.join(self.masks)}")
        return language

    def before_forward(self, step: int, batch: Batch) -> None:
        if self._aside is None:
            self._aside = _take_out(self._parameters, self._outside(self.language(batch), "runs"))

    def after_backward(self, step: int, batch: Batch) -> None:
        language = self.language(batch)
        outside = self._outside(language, "region")
        if self._outside(language, "runs") is not outside:  # what is trained is more than what has run
            _put_back(self._parameters, self._aside or [])
            self._aside = _take_out(self._parameters, outside)
        # A layer that stochastic depth skips has no gradient, and no moments before its first one.
        pairs = list(zip(self._parameters, outside, strict=True)) if outside else []
        _take_out(*_columns((parameter.grad, bits) for parameter, bits in pairs if parameter.grad is not None))
        states = [(self._optimizer.state.get(parameter, {}), bits) for parameter, bits in pairs]
        self._moments, bits = _columns((state[k], bits) for state, bits in states for k in MOMENTS if k in state)
        self._moments_aside = _take_out(self._moments, bits)

    def after_update(self, step: int, batch: Batch) -> None:
        self._leave()
        if step + 1 == self.steps:
            union(self.masks.values()).apply_(self._weights)

    def _leave(self) -> None:
        """Put back the weights and moments outside the region. There, a step of AdamW from zeros has left zeros."""
        _put_back(self._parameters, self._aside or [])
        _put_back(self._moments, self._moments_aside)
        self._aside = None

    @contextmanager
    def evaluating(self, batch: Batch) -> Iterator[None]:
        aside = _take_out(self._parameters, _numbers(~self.masks[self.language(batch)]))
        yield
        _put_back(self._parameters, aside)

    def _outside(self, language: str, which: str) -> list[torch.Tensor]:
        """By matrix, 1 where a weight is outside what a language `runs` or its `region`, and 0 within; [] if all are
        within."""
        if (language, which) not in self._outsides:
            region, runs = self.region(language), self.runs(language)
            found = [] if region.kept == region.total else _numbers(~region)
            self._outsides[language, "region"] = found
            self._outsides[language, "runs"] = found if runs == region else _numbers(~runs)
        return self._outsides[language, which]


def _numbers(mask: Mask) -> list[torch.Tensor]:
    """The bits by matrix, as float32: products with 0 and 1 are exact, and several times faster than selecting."""
    return [bits.float() for bits in mask.values()]


def _columns(pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The first and the second of each pair."""
    pairs = list(pairs)
    return [first for first, _ in pairs], [second for _, second in pairs]


@torch.no_grad()
def _take_out(tensors: list[torch.Tensor], outside: list[torch.Tensor]) -> list[torch.Tensor]:
    """Set the entries `outside` (none: no entry) to zero, in place; return them, zero elsewhere."""
    if not tensors or not outside:
        return []
    aside = list(torch._foreach_mul(tensors, outside))
    torch._foreach_sub_(tensors, aside)
    return aside


@torch.no_grad()
def _put_back(tensors: list[torch.Tensor], aside: list[torch.Tensor]) -> None:
    """Put back what `_take_out` returned, where the tensors are zero."""
    if aside:
        torch._foreach_add_(tensors, aside)
