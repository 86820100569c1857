"""Encoders that an utterance leaves early: at the first CTC head that is sure enough, or that changes nothing more.

With intermediate CTC (Lee & Watanabe 2021) a model has answers at several depths. Each utterance of a batch goes up to
the first exit whose measure is below a threshold (after BranchyNet, Teerapittayanon, McDanel & Kung 2016; for speech
DeeBERT's entropy, Xin et al. 2020); those that have left cost no more. At a threshold of infinity all leave by the
first exit, at 0 none before the last layer.

    entropy     of a head's posteriors, in nats, mean over the frames of the utterance
    agreement   how unlike the greedy outputs of two consecutive heads are: edits between their tokens, over the tokens
                of the longer one, 0 to 1. The first head follows none: `UNLIKE`
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, get_args

import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder

from secateur.core.errors import SecateurError
from secateur.exits.options import Measure
from secateur.models.surgery.layers import layer_numbers, listed
from secateur.models.surgery.stepwise import first_input, frames, handed_on, run_layer, with_frames

ENTROPY, AGREEMENT = MEASURES = get_args(Measure)
UNLIKE = 2.0
"""The disagreement of the first head, which has none before it: above that of any two outputs."""


@dataclass(frozen=True)
class Exit:
    """When utterances leave.

    Attributes:
        layers: numbers of the layers with an exit; the last layer of the model always is one.
        threshold: an utterance leaves at the first of them whose measure is below this.
    """

    layers: tuple[int, ...]
    measure: Measure = ENTROPY
    threshold: float = inf


@dataclass(frozen=True)
class Heard:
    """What a head makes of a batch: log-posteriors (B, T', V), the frames (B,) of the utterances, greedy outputs."""

    log_probs: torch.Tensor
    lengths: torch.Tensor
    tokens: list[list[int]]


Watch = Callable[[int, Heard, dict[str, torch.Tensor]], None]


def early_exit(model: torch.nn.Module, when: Exit) -> torch.nn.Module:
    """A copy of `model`, of type CTC or hybrid, whose `encode` lets every utterance leave when it may.

    Raises SecateurError for exits that the model does not have and for a measure that is unknown.
    """
    check(model, when.layers)
    if when.measure not in MEASURES:
        raise SecateurError(f"measure {when.measure!r} is unknown; choose one of {', '.join(MEASURES)}")
    leaving = copy.deepcopy(model)
    leaving.encoder = ExitingEncoder(leaving, when)
    return leaving


def check(model: torch.nn.Module, layers: Sequence[int]) -> None:
    """Raises SecateurError unless a model has a CTC head, layers that run singly, and these exits below its last."""
    if getattr(model, "ctc", None) is None or not hasattr(model.encoder, "after_norm"):
        raise SecateurError(
            f"{type(model).__name__}: early exit needs a CTC head and an encoder whose layers run singly; choose a CTC "
            "or hybrid model"
        )
    present = layer_numbers(model)
    if not layers or list(layers) != sorted(set(layers)) or not set(layers) <= set(present[:-1]):
        raise SecateurError(
            f"exits at the layers {listed(layers) or 'none'}: wanted some of {listed(present[:-1])}, in rising order"
        )


class ExitingEncoder(AbsEncoder):
    """Stands in the place of a model's encoder: (B, T, F) and lengths (B,) → (B, T', D), every utterance from its exit.

    Attributes:
        left_at: of the batch that was encoded last, the layer that each utterance left at.
        watch: called at every exit with the layer, what its head hears, and all measures (B',) of those still there.
    """

    def __init__(self, model: torch.nn.Module, when: Exit, watch: Watch | None = None):
        super().__init__()
        self.inner, self.when, self.watch = model.encoder, when, watch
        self.left_at: list[int] = []
        self._ctc = [model.ctc]  # in a list, so that it is no part of this module

    @property
    def encoders(self) -> torch.nn.ModuleList:
        """The stack of layers."""
        return self.inner.encoders

    @property
    def layer_numbers(self) -> list[int]:
        """The numbers of the layers in the whole model."""
        return list(getattr(self.inner, "layer_numbers", range(1, len(self.encoders) + 1)))

    def output_size(self) -> int:
        return self.inner.output_size()

    def forward(
        self, xs_pad: torch.Tensor, ilens: torch.Tensor, prev_states: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        encoder = self.inner
        state, mask = first_input(encoder, lambda: encoder(xs_pad, ilens))
        lengths = mask.squeeze(1).sum(1)
        there = torch.arange(len(lengths), device=lengths.device)
        outputs, before = torch.zeros_like(frames(state)), None
        self.left_at = [0] * len(lengths)
        numbers, last = self.layer_numbers, self.layer_numbers[-1]
        for number, layer in zip(numbers, self.encoders, strict=True):
            state = run_layer(encoder, layer, state, mask, lengths[there])
            if number in self.when.layers or number == last:
                output = encoder.after_norm(frames(state))
                leaves, written = self._leaving(number, output, lengths[there], before, number == last)
                outputs[there[leaves]] = output[leaves].to(outputs.dtype)
                for place in there[leaves].tolist():
                    self.left_at[place] = number
                if leaves.all():
                    break
                stay = ~leaves
                there, mask, state = there[stay], mask[stay], with_frames(state, frames(state)[stay])
                before = [tokens for tokens, stays in zip(written, stay.tolist(), strict=True) if stays]
            state = handed_on(encoder, self._ctc[0], number, state)
        return outputs, lengths, None

    def _leaving(
        self,
        number: int,
        output: torch.Tensor,
        lengths: torch.Tensor,
        before: list[list[int]] | None,
        last: bool,
    ) -> tuple[torch.Tensor, list[list[int]]]:
        """Which utterances (B',) leave by the head after a layer, and what that head writes of each."""
        everyone = torch.ones(len(output), dtype=torch.bool, device=output.device)
        if self.watch is None and (last or self.when.threshold == inf):  # nothing to decide
            return everyone, []
        log_probs = self._ctc[0].log_softmax(output)
        written = greedy(log_probs, lengths) if self.watch or self.when.measure == AGREEMENT else [[]] * len(output)
        heard = Heard(log_probs, lengths, written)
        wanted = MEASURES if self.watch else (self.when.measure,)
        values = {name: measured(name, heard, before) for name in wanted}
        if self.watch:
            self.watch(number, heard, values)
        return everyone if last else values[self.when.measure] < self.when.threshold, written


def measured(name: str, heard: Heard, before: list[list[int]] | None) -> torch.Tensor:
    """A measure (B',) of a head; `before` are the greedy outputs of the head before it."""
    log_probs = heard.log_probs
    if name == ENTROPY:
        entropies = -(log_probs.exp() * log_probs).sum(-1)
        valid = torch.arange(entropies.shape[1], device=entropies.device) < heard.lengths[:, None]
        return (entropies * valid).sum(1) / heard.lengths.clamp(min=1)
    if before is None:
        return torch.full((len(log_probs),), UNLIKE, device=log_probs.device)
    values = [disagreement(*pair) for pair in zip(before, heard.tokens, strict=True)]
    return torch.tensor(values, device=log_probs.device)


def greedy(log_probs: torch.Tensor, lengths: torch.Tensor) -> list[list[int]]:
    """The tokens of the best path of each utterance: repetitions merged, blanks (0) gone."""
    paths = log_probs.argmax(-1).cpu()
    merged = (torch.unique_consecutive(path[:n]) for path, n in zip(paths, lengths.tolist(), strict=True))
    return [path[path != 0].tolist() for path in merged]


def disagreement(one: Sequence[int], other: Sequence[int]) -> float:
    """Edits between two token sequences over the tokens of the longer one; 0 of two empty ones."""
    row = list(range(len(other) + 1))
    for place, token in enumerate(one, 1):
        diagonal, row[0] = row[0], place
        for column, match in enumerate(other, 1):
            cost = min(row[column] + 1, row[column - 1] + 1, diagonal + (token != match))
            diagonal, row[column] = row[column], cost
    return row[-1] / max(len(one), len(other), 1)
