"""Scores of sub-models whose layers do not run singly: Whisper's, of encoder and decoder together."""

import math
from collections.abc import Sequence

import torch

from secateur.core.errors import SecateurError
from secateur.layers.dev import Dev, Score, word_errors, words
from secateur.layers.strategies import Layers
from secateur.models.surgery.layers import layer_numbers, only, stacks
from secateur.speech.corpora.text import normalise_anything


class WholeScorer:
    """As `secateur.layers.search.Scorer`; the loss is the one that the model trains with.

    Sub-models with the same encoder, one after another, share its output. Nothing is kept from round to round.
    """

    def __init__(self, model: torch.nn.Module, dev: Dev, objective: str):
        self.model, self.dev, self.objective = model, dev, objective
        self.layer_forwards = 0
        self.utterances = sum(map(len, dev.batches))
        self._words = words(dev)
        self._encoder = set(layer_numbers(model)[: len(stacks(model)[0])])

    def score(self, models: Sequence[Layers]) -> list[Score]:
        """Score sub-models, given by the numbers of their layers, on all dev data, batch by batch."""
        scores = [Score() for _ in models]
        device = next(self.model.parameters()).device
        for utterances in self.dev.batches:
            batch = self.dev.examples.load(utterances)
            tensors = {name: tensor.to(device) for name, tensor in batch.tensors.items()}
            encoded: dict[Layers, torch.Tensor] = {}
            for layers, score in zip(models, scores, strict=True):
                with only(self.model, layers):
                    below = tuple(layer for layer in layers if layer in self._encoder)
                    if below not in encoded:
                        output, _ = self.model.encode(tensors["speech"], tensors["speech_lengths"])
                        encoded = {below: output}
                        self.layer_forwards += len(below)
                    self.layer_forwards += len(layers) - len(below)
                    self._add(score, encoded[below], tensors["text"], list(utterances), batch.languages)
        return scores

    def mean(self, score: Score) -> float:
        """The objective: the mean loss of an utterance in nats, or the word error rate in percent."""
        return 100 * score.errors / self._words if self.objective == "wer" else score.loss / self.utterances

    def forget(self, layer: int) -> None:
        """Nothing is kept."""

    def _add(
        self, score: Score, encoder_out: torch.Tensor, text: torch.Tensor, utterances: list[str], languages: list[str]
    ) -> None:
        losses = self.model.losses(encoder_out, text).tolist()
        if not math.isfinite(sum(losses)):
            raise SecateurError(f"the loss is {sum(losses)} on utterances {', '.join(utterances[:20])}; look at these")
        score.loss += sum(losses)
        if self.objective == "loss":
            score.each += [(one, 1) for one in losses]
            return
        found = self.model.generate(encoder_out, languages, beam=1)
        texts = zip([self.dev.tokenizer.decode(ids) for ids in found], languages, strict=True)
        references = zip([self.dev.references[name] for name in utterances], languages, strict=True)
        written = ([normalise_anything(*pair) for pair in side] for side in (references, texts))
        for errors in word_errors(*written):
            score.errors += errors[0]
            score.each.append(errors)
