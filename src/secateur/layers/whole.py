"""Scores of sub-models that run as a whole: Whisper's, of encoder and decoder together, and transducers'.

The loss is the one that the model trains with, which has no CTC head to be read at. Those of hybrid models without
layers of their decoder are in `secateur.layers.decoder`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch

from secateur.core.errors import SecateurError
from secateur.decoding.transducer import Greedy
from secateur.layers.dev import Dev, Score, word_errors, words
from secateur.layers.strategies import Layers
from secateur.models.surgery.layers import layer_numbers, only, stacks
from secateur.models.types import ENCODER
from secateur.speech.corpora.text import normalise_anything
from secateur.speech.data import Batch

Encoded = tuple[torch.Tensor, torch.Tensor]
"""Encoder output (B, T', D) and its lengths (B,)."""


class WholeScorer(ABC):
    """As `secateur.layers.search.Scorer`; its heirs say what the loss is, and what is heard.

    Sub-models with the same encoder, one after another, share its output. Nothing is kept from round to round.
    """

    def __init__(self, model: torch.nn.Module, dev: Dev, objective: str, of: str = ENCODER):
        self.model, self.dev, self.objective, self.of = model, dev, objective, of
        self.layer_forwards = 0
        self.utterances = sum(map(len, dev.batches))
        self._words = words(dev)
        self._encoder = set(layer_numbers(model)[: len(stacks(model)[0])]) if of == ENCODER else set()

    def score(self, models: Sequence[Layers]) -> list[Score]:
        """Score sub-models, given by the numbers of their layers, on all dev data, batch by batch."""
        scores = [Score() for _ in models]
        device = next(self.model.parameters()).device
        for utterances in self.dev.batches:
            batch = self.dev.examples.load(utterances)
            tensors = {name: tensor.to(device) for name, tensor in batch.tensors.items()}
            encoded: dict[Layers, Encoded] = {}
            for layers, score in zip(models, scores, strict=True):
                with only(self.model, layers, self.of):
                    below = tuple(layer for layer in layers if layer in self._encoder)
                    if below not in encoded:
                        encoder_out, lengths = self.model.encode(tensors["speech"], tensors["speech_lengths"])
                        if isinstance(encoder_out, tuple):  # with the outputs of intermediate layers
                            encoder_out = encoder_out[0]
                        encoded = {below: (encoder_out, lengths)}
                        self.layer_forwards += len(below)
                    self.layer_forwards += len(layers) - len(below)
                    self._add(score, encoded[below], tensors, batch)
        return scores

    def mean(self, score: Score) -> float:
        """The objective: the mean loss of an utterance in nats, or the word error rate in percent."""
        return 100 * score.errors / self._words if self.objective == "wer" else score.loss / self.utterances

    def forget(self, layer: int) -> None:  # noqa: B027
        """Nothing is kept."""

    @abstractmethod
    def losses(self, encoded: Encoded, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The loss of every utterance (B,), in nats."""

    @abstractmethod
    def written(self, encoded: Encoded, batch: Batch) -> tuple[list[str], list[str]]:
        """The references of a batch, and what is heard, as their errors are counted."""

    def _add(self, score: Score, encoded: Encoded, tensors: Mapping[str, torch.Tensor], batch: Batch) -> None:
        losses = self.losses(encoded, tensors).tolist()
        if not math.isfinite(sum(losses)):
            named = ", ".join(batch.utterances[:20])
            raise SecateurError(f"the loss is {sum(losses)} on utterances {named}; look at these")
        score.loss += sum(losses)
        if self.objective == "loss":
            score.each += [(one, 1) for one in losses]
            return
        for errors in word_errors(*self.written(encoded, batch)):
            score.errors += errors[0]
            score.each.append(errors)

    def _references(self, batch: Batch) -> list[str]:
        return [self.dev.references[name] for name in batch.utterances]


class GeneratingScorer(WholeScorer):
    """Of models that generate their text: Whisper."""

    def losses(self, encoded: Encoded, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return self.model.losses(encoded[0], tensors["text"])

    def written(self, encoded: Encoded, batch: Batch) -> tuple[list[str], list[str]]:
        heard = map(self.dev.tokenizer.decode, self.model.generate(encoded[0], batch.languages, beam=1))
        sides = (
            [normalise_anything(text, language) for text, language in zip(side, batch.languages, strict=True)]
            for side in (self._references(batch), list(heard))
        )
        references, texts = sides
        return references, texts


class TransducerScorer(WholeScorer):
    """Of transducers (`secateur.models.rnnt`): the loss of the transducer, without an auxiliary CTC's."""

    def losses(self, encoded: Encoded, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        text = tensors["text"][:, : int(tensors["text_lengths"].max())]
        return self.model.transducer_losses(*encoded, text, tensors["text_lengths"])

    def written(self, encoded: Encoded, batch: Batch) -> tuple[list[str], list[str]]:
        search = Greedy(self.model, len(batch.utterances))
        search.advance(*encoded)
        return self._references(batch), [self.dev.tokenizer.decode(labels) for labels in search.labels]


class EspnetTransducerScorer(WholeScorer):
    """Of ESPnet's transducers (`secateur.models.espnet_transducer`): likewise, with ESPnet's own search, greedy."""

    def losses(self, encoded: Encoded, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        texts = zip(tensors["text"], tensors["text_lengths"], strict=True)
        return torch.stack(
            [
                self.model._calc_transducer_loss(frames[None], torch.tensor([len(frames)]), text[None, :count])[0]
                for frames, (text, count) in zip(_utterances(encoded), texts, strict=True)
            ]
        )

    def written(self, encoded: Encoded, batch: Batch) -> tuple[list[str], list[str]]:
        from secateur.decoding.search.transducer_espnet import labels_of

        labels = labels_of(self.model, beam=1, algorithm="default")
        return self._references(batch), [self.dev.tokenizer.decode(labels(frames)) for frames in _utterances(encoded)]


def _utterances(encoded: Encoded) -> list[torch.Tensor]:
    """The encoder output (T', D) of each utterance, without padding."""
    frames = encoded[0][0] if isinstance(encoded[0], tuple) else encoded[0]  # also of layers with intermediate CTC
    return [one[:length] for one, length in zip(frames, encoded[1].tolist(), strict=True)]
