"""Scores of hybrid models without some layers of their attention decoder.

The loss is the decoder's own: the cross entropy of the text and its end, given the tokens before, in nats, summed over
an utterance. Word errors are those of a joint beam search with CTC, which is what runs the decoder: greedy CTC search
never does. Sub-models share the output of the encoder, which loses nothing.
"""

from collections.abc import Mapping

import torch
from espnet.nets.pytorch_backend.transformer.add_sos_eos import add_sos_eos

from secateur.decoding.recognize import Recognizer, Stopwatch
from secateur.decoding.search.beam import best_of
from secateur.layers.dev import Dev
from secateur.layers.whole import Encoded, WholeScorer
from secateur.models.surgery.layers import stacks
from secateur.models.types import DECODER
from secateur.speech.data import Batch

BEAM, CTC_WEIGHT = 5, 0.3
"""The search that word errors are counted of: hypotheses, and the weight of CTC against the decoder."""


class DecoderScorer(WholeScorer):
    """As `secateur.layers.search.Scorer`, of layers of the decoder."""

    def __init__(self, model: torch.nn.Module, dev: Dev, objective: str):
        stacks(model, DECODER)  # says what is wrong with a model that has none
        super().__init__(model, dev, objective, DECODER)
        device = next(model.parameters()).device
        recognizer, beam = Recognizer(model, dev.tokenizer, device), min(BEAM, len(dev.tokenizer.tokens) - 1)
        self._best = best_of(recognizer, beam, CTC_WEIGHT, 0.0, 0.0, Stopwatch(device))

    def losses(self, encoded: Encoded, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        model = self.model
        text = tensors["text"][:, : int(tensors["text_lengths"].max())]
        given, wanted = add_sos_eos(text, model.sos, model.eos, model.ignore_id)
        logits = model.decoder(*encoded, given, tensors["text_lengths"] + 1)[0].float().transpose(1, 2)
        options = {"ignore_index": model.ignore_id, "reduction": "none"}
        return torch.nn.functional.cross_entropy(logits, wanted, **options).sum(1)

    def written(self, encoded: Encoded, batch: Batch) -> tuple[list[str], list[str]]:
        pairs = zip(*encoded, strict=True)
        return self._references(batch), [self._best(output[:length]) for output, length in pairs]
