"""Which layers of a self-supervised encoder to keep: those without which its output is nearest to the whole one's.

There are no transcripts to go by. A sub-model's loss on an utterance is how far its last output is from that of the
whole encoder, Σ squared distance / Σ squares over frames and dimensions: 0 for a copy. The strategies are those that
order the layers of recognizers (`secateur.layers.strategies`), but for those that need layers compared before.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import nn

from secateur.core.errors import SecateurError
from secateur.layers.dev import Score
from secateur.layers.strategies import SIMILARITY, STRATEGIES, Given, Layers, needs
from secateur.models.upstream.convolutions import valid_frames
from secateur.models.upstream.encoder import Encoder
from secateur.speech.data import Batch


class EncoderScorer:
    """Scores sub-models, given by the numbers of their layers from 1, on batches of waveforms."""

    def __init__(self, encoder: Encoder, batches: Iterable[Batch]):
        self.encoder, self.batches = encoder, list(batches)

    @torch.inference_mode()
    def score(self, models: Sequence[Layers]) -> list[Score]:
        """The sums over the utterances of all batches."""
        scores, whole = [Score() for _ in models], self.encoder.encoder.layers
        device = self.encoder.masked_spec_embed.device
        try:
            for batch in self.batches:
                waveforms, lengths = (batch.tensors[name].to(device) for name in ("waveforms", "lengths"))
                self.encoder.encoder.layers = whole
                wanted, frames = self.encoder(waveforms, lengths)
                valid = valid_frames(frames, wanted[-1].shape[1])[..., None]
                for layers, score in zip(models, scores, strict=True):
                    self.encoder.encoder.layers = nn.ModuleList(whole[layer - 1] for layer in layers)
                    found = self.encoder(waveforms, lengths)[0][-1]
                    squares = [(value.square() * valid).sum((1, 2)) for value in (found - wanted[-1], wanted[-1])]
                    apart = squares[0] / squares[1]
                    score.loss += float(apart.sum())
                    score.each += [(one, 1) for one in apart.tolist()]
        finally:
            self.encoder.encoder.layers = whole
        return scores

    def mean(self, score: Score) -> float:
        """The objective: the mean loss of an utterance."""
        return score.loss / len(score.each)

    def forget(self, layer: int) -> None:
        """Nothing is kept."""


def chosen(encoder: Encoder, strategy: str, count: int, batches: Iterable[Batch], seed: int = 1) -> list[int]:
    """The numbers, from 1, of the `count` layers that a strategy keeps; `encoder` is in evaluation mode.

    Raises SecateurError for a strategy that is unknown, or needs layers compared before, and as `kept`.
    """
    if SIMILARITY in needs(strategy):
        raise SecateurError(f"strategy {strategy!r} needs the layers compared before; choose another one")
    layers = tuple(range(1, encoder.config.num_hidden_layers + 1))
    _check(count, layers)
    order = STRATEGIES.named(strategy).load().order(Given(layers, EncoderScorer(encoder, batches), seed)).order
    return [layer for layer in layers if layer not in order[: len(layers) - count]]


def kept(encoder: Encoder, layers: Sequence[int]) -> Encoder:
    """A copy with these of its layers, numbered from 1. Raises SecateurError for none, or more than there are."""
    whole = encoder.config
    _check(len(layers), range(whole.num_hidden_layers))
    smaller = copy.deepcopy(encoder)
    smaller.encoder.layers = nn.ModuleList(smaller.encoder.layers[layer - 1] for layer in layers)
    shapes = None if whole.layers is None else tuple(whole.layers[layer - 1] for layer in layers)
    smaller.config = replace(whole, num_hidden_layers=len(layers), layers=shapes)
    return smaller


def _check(count: int, layers: Sequence[int]) -> None:
    if not 1 <= count <= len(layers):
        raise SecateurError(f"layers: {count}; keep from 1 to {len(layers)} of the teacher's layers")
