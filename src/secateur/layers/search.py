"""Which layers are safe to remove: strategies that order the layers of one model's encoder, or of its decoder.

A strategy gives one order of removal for every depth at once, so that its sub-models are nested, and each of them gets
its loss on dev data; their word error rates on test data are for `secateur.decoding.recognize` to measure. Strategies
are the files of `secateur.layers.strategies`; what they share is here.
"""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import torch

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv
from secateur.layers import strategies
from secateur.layers.decoder import DecoderScorer
from secateur.layers.dev import Dev, Score, word_errors, words
from secateur.layers.options import Half, Objective
from secateur.layers.strategies import Given, Layers, without
from secateur.layers.whole import EspnetTransducerScorer, GeneratingScorer, TransducerScorer
from secateur.models import types
from secateur.models.surgery.layers import layer_numbers
from secateur.models.surgery.stepwise import first_input, frames, handed_on, run_layer
from secateur.models.types import DECODER, ENCODER

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
MEMORY = 4 * 2**30


@torch.inference_mode()
def search(
    model: torch.nn.Module,
    strategy: str,
    dev: Dev,
    objective: Objective = "loss",
    seed: int = 1,
    similarity: Mapping[int, float] | None = None,
    memory: int = MEMORY,
    of: Half = ENCODER,
) -> dict[str, Any]:
    """Order the layers of `model`, in evaluation mode, by `strategy`: a CTC or hybrid model, a transducer or Whisper.

    Args:
        strategy: one of `secateur.layers.strategies`.
        objective: what `greedy` compares: `loss`, of CTC after the last layer, or the one that transducers, Whisper and
            attention decoders train with; or `wer`, the word error rate of greedy decoding (of a decoder, of joint beam
            search) over all languages together, and of equal ones the loss; then the later layer goes first.
        seed: of strategies that draw at random.
        similarity: for strategies that need it: how much the output of each layer is like its input.
        memory: bytes of hidden states that a strategy which needs it may keep from round to round on the device.
        of: `decoder` for the layers of a hybrid model's attention decoder.

    Returns what a `layers.json` holds. Layers have their numbers in the whole model.
        strategy, of, objective, and what the strategy records: `greedy` its `rounds`, `random` its `seed`.
        order_removed: the layers in the order of their removal; one layer never is.
        depths: for every depth: `layers`, those that are kept; `dev_loss`, the mean loss of an utterance in nats;
            with the objective `wer` also `dev_wer`, in percent.
        layer_forwards, seconds: what finding the order cost. A layer-forward is one layer run on one batch.
        evaluation_layer_forwards, evaluation_seconds: what it cost, after that, to find the losses of all depths.
        dev_batches, dev_utterances.
    What measuring the similarity cost is not in it (`secateur layer-search` adds it).

    Raises SecateurError for a strategy or an objective that is unknown or no use for a decoder, a similarity that is
    missing or of other layers, a model without such layers or a CTC head, and a loss that is not finite.
    """
    chosen = strategies.STRATEGIES.named(strategy)
    if objective not in OBJECTIVES:
        raise SecateurError(f"objective {objective!r} is unknown; it must be one of {', '.join(OBJECTIVES)}")
    layers = tuple(layer_numbers(model, of))
    scorer = _scorer(model, strategy, dev, objective, memory, of)
    started = time.perf_counter()
    found = chosen.load().order(Given(layers, scorer, seed, similarity))
    searched, forwards = time.perf_counter(), scorer.layer_forwards
    result: dict[str, Any] = {"strategy": strategy, "of": of, "objective": objective, **found.record}
    models = family(layers, found.order)
    scores = scorer.score(models) if found.scores is None else found.scores
    result["depths"] = {
        str(len(kept)): {"layers": list(kept), "dev_loss": score.loss / scorer.utterances}
        | ({"dev_wer": scorer.mean(score)} if objective == "wer" else {})
        for kept, score in zip(models, scores, strict=True)
    }
    return result | {
        "order_removed": found.order,
        "layer_forwards": forwards,
        "seconds": round(searched - started, 3),
        "evaluation_layer_forwards": scorer.layer_forwards - forwards,
        "evaluation_seconds": round(time.perf_counter() - searched, 3),
        "dev_batches": len(dev.batches),
        "dev_utterances": scorer.utterances,
    }


def _scorer(model: torch.nn.Module, strategy: str, dev: Dev, objective: str, memory: int, of: str) -> Any:
    if of == DECODER:
        if strategies.SIMILARITY in strategies.needs(strategy):
            raise SecateurError(f"strategy {strategy}: layers of a decoder hear tokens, not frames; choose another one")
        return DecoderScorer(model, dev, objective)
    if hasattr(model, types.GENERATE):
        return GeneratingScorer(model, dev, objective)
    if hasattr(model, "transducer_losses"):  # not its class: searches of other types do not wait for it
        return TransducerScorer(model, dev, objective)
    if hasattr(model, "criterion_transducer"):
        return EspnetTransducerScorer(model, dev, objective)
    return Scorer(model, dev, objective, memory if strategies.MEMORY in strategies.needs(strategy) else 0)


def read_similarity(file: str | Path, model: str | None = None, measure: str = "svcca") -> dict[int, float]:
    """How much the output of each layer is like its input, from a `similarity.tsv` that compares all pairs of layers.

    Args:
        model: what it is called in the file; None for the only one that is there.

    Raises SecateurError when the file has no such model, or several and none is named.
    """
    rows = read_tsv(file)
    models = sorted({row["model_a"] for row in rows})
    if model is None and len(models) == 1:
        model = models[0]
    if model not in models:
        raise SecateurError(f"{file}: has no model {model!r}; name one of {', '.join(models)}")
    return {
        int(row["layer_b"]): float(row["value"])
        for row in rows
        if row["measure"] == measure
        and row["model_a"] == row["model_b"] == model
        and int(row["layer_a"]) + 1 == int(row["layer_b"])
    }


def family(layers: Layers, order: Sequence[int]) -> list[Layers]:
    """The layers that are kept at every depth, from all of `layers` on."""
    kept = [layers]
    for layer in order:
        kept.append(without(kept[-1], layer))
    return kept


class Scorer:
    """Scores sub-models of a model on dev data, each given by the numbers of its layers; arguments as for `search`.

    Attributes:
        layer_forwards: how many times a layer was run on a batch so far.
        utterances: how many there are.
    """

    def __init__(self, model: torch.nn.Module, dev: Dev, objective: str, memory: int):
        if getattr(model, "ctc", None) is None or not hasattr(model.encoder, "after_norm"):
            raise SecateurError(
                f"{type(model).__name__}: the search for layers needs an encoder whose layers run singly, and a CTC "
                "head; choose a CTC or hybrid model, or a transducer"
            )
        self.model, self.dev, self.objective = model, dev, objective
        self.layers = dict(zip(layer_numbers(model), model.encoder.encoders, strict=True))
        self.layer_forwards = 0
        self.utterances = sum(map(len, dev.batches))
        self._words = words(dev)
        self._room, self._room_enough = memory, True
        self._batches = [_Batch(self, utterances) for utterances in dev.batches]

    def score(self, models: Sequence[Layers]) -> list[Score]:
        """Score sub-models on all dev data, batch by batch.

        On a batch, the first layers that a sub-model has in common with the one before it are not run again.
        """
        scores = [Score() for _ in models]
        for batch in self._batches:
            for layers, score in zip(models, scores, strict=True):
                batch.add_to(score, layers)
            batch.path.clear()
        return scores

    def mean(self, score: Score) -> float:
        """The objective: the mean loss of an utterance in nats, or the word error rate in percent."""
        return 100 * score.errors / self._words if self.objective == "wer" else score.loss / self.utterances

    def keep(self, states: dict[Layers, Any], layers: Layers, state: Any) -> None:
        """Put a hidden state into `states` if there is room."""
        size = frames(state).nbytes
        if size <= self._room:
            self._room -= size
            states[layers] = state
        elif self._room_enough and self._room:
            self._room_enough = False
            logging.warning("the hidden states do not all fit into memory; more of it would make the search faster")

    def forget(self, layer: int) -> None:
        """Make room: drop all hidden states that `layer` had a part in."""
        for batch in self._batches:
            for layers in [layers for layers in batch.kept if layer in layers]:
                self._room += frames(batch.kept.pop(layers)).nbytes


class _Batch:
    """One batch of dev data, and hidden states of it by the layers that made them.

    Attributes:
        path: those on the way to the sub-model that was scored last.
        kept: those that stay from round to round.
    """

    def __init__(self, scorer: Scorer, utterances: Sequence[str]):
        self.scorer, self.utterances = scorer, list(utterances)
        self.path: dict[Layers, Any] = {}
        self.kept: dict[Layers, Any] = {}

    def add_to(self, score: Score, layers: Layers) -> None:
        """Add to `score` what the sub-model of `layers` makes of this batch."""
        model, dev = self.scorer.model, self.scorer.dev
        self.path = {first: state for first, state in self.path.items() if layers[: len(first)] == first}
        encoder_out = model.encoder.after_norm(frames(self._after(layers)))
        losses = self._losses(encoder_out)
        loss = sum(losses)
        if not math.isfinite(loss):
            raise SecateurError(
                f"the loss is {loss} with layers {list(layers)} on utterances {', '.join(self.utterances[:20])}; look "
                "at these, or train the model again"
            )
        score.loss += loss
        if self.scorer.objective == "loss":
            score.each += [(one, 1) for one in losses]
        if self.scorer.objective == "wer":
            paths = model.ctc.argmax(encoder_out).cpu()
            texts = [
                dev.tokenizer.decode(torch.unique_consecutive(path[:length]).tolist())
                for path, length in zip(paths, self.lengths.tolist(), strict=True)
            ]
            for pair in word_errors([dev.references[name] for name in self.utterances], texts):
                score.errors += pair[0]
                score.each.append(pair)

    def _losses(self, encoder_out: torch.Tensor) -> list[float]:
        """The CTC loss of every utterance, in nats."""
        ctc = self.scorer.model.ctc
        reduce, ctc.reduce = ctc.reduce, False
        try:
            losses = ctc(encoder_out, self.lengths, self.text, self.text_lengths)
        finally:
            ctc.reduce = reduce
        return (losses * len(losses)).tolist()  # ESPnet divides by the size of the batch

    def _after(self, layers: Layers) -> Any:
        """The hidden state after `layers` as ESPnet's layers hand it on: (B, T', D); a Conformer's with positions."""
        for states in (self.path, self.kept):
            if layers in states:
                return states[layers]
        if layers:
            model, before = self.scorer.model, self._after(layers[:-1])
            for below in layers[-2:-1]:
                before = handed_on(model.encoder, model.ctc, below, before)
            state = run_layer(model.encoder, self.scorer.layers[layers[-1]], before, self.mask, self.lengths)
            self.scorer.layer_forwards += 1
        else:
            state = self._read()
        self.path[layers] = state
        self.scorer.keep(self.kept, layers, state)
        return state

    def _read(self) -> Any:
        """Read the batch; returns what the first layer is given."""
        model = self.scorer.model
        device = next(model.parameters()).device
        batch = self.scorer.dev.examples.load(self.utterances)
        tensors = {name: tensor.to(device) for name, tensor in batch.tensors.items()}
        speech = tensors["speech"], tensors["speech_lengths"]
        state, self.mask = first_input(model.encoder, lambda: model.encode(*speech))
        self.text, self.text_lengths = tensors["text"], tensors["text_lengths"]
        self.lengths = self.mask.squeeze(1).sum(1)
        return state
