"""Searches for transducers (`secateur.models.rnnt`): greedy, for a batch of utterances, and a beam, for one.

Both read the encoder's output from left to right and keep what they need between calls, so that it may come in chunks
of any size: the labels found do not depend on how it was cut.

The model's class is not imported: layer search, which runs all types, would wait for every edit of it.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

State = tuple[torch.Tensor, torch.Tensor]
"""Of the predictor's LSTM."""


class Greedy:
    """The likeliest label at every step (Graves 2012), of `batch` utterances side by side.

    Each utterance moves at its own pace: a blank takes it to its next frame, a label to its next prefix; after
    `max_symbols` labels at one frame it goes to the next frame all the same. `labels` holds what was found so far.
    """

    def __init__(self, model: Any, batch: int = 1, max_symbols: int = 10):
        self.model, self.max_symbols = model, max_symbols
        self.labels: list[list[int]] = [[] for _ in range(batch)]
        device = model.joiner.output.weight.device
        start = torch.full((batch, 1), model.blank_id, device=device)
        output, self._state = model.predictor(start)
        self._prefix = model.joiner.predictor(output[:, 0])

    def advance(self, encoder_out: torch.Tensor, lengths: torch.Tensor) -> None:
        """Read on: the next encoder output (B, T, D), of which utterance b has `lengths[b]` frames."""
        if encoder_out.shape[1] == 0:
            return
        model = self.model
        frames = model.joiner.encoder(encoder_out)
        lengths = lengths.to(frames.device)
        everyone = torch.arange(len(frames), device=frames.device)
        time, symbols = torch.zeros_like(lengths), torch.zeros_like(lengths)
        while bool((active := time < lengths).any()):
            frame = frames[everyone, time.clamp(max=frames.shape[1] - 1)]
            best = model.joiner.join(frame, self._prefix).argmax(-1)
            emits = active & (best != model.blank_id)
            writers = emits.nonzero()[:, 0]
            if len(writers):
                output, state = model.predictor(best[writers, None], _select(self._state, writers))
                self._prefix[writers] = model.joiner.predictor(output[:, 0])
                for whole, part in zip(self._state, state, strict=True):
                    whole[:, writers] = part
                for utterance, label in zip(writers.tolist(), best[writers].tolist(), strict=True):
                    self.labels[utterance].append(label)
            symbols = symbols + emits.long()
            moves = active & (~emits | (symbols == self.max_symbols))
            time = time + moves.long()
            symbols = symbols.masked_fill(moves, 0)


@dataclass(frozen=True)
class Hypothesis:
    """A prefix, and ln of the summed probability of its alignments so far, with the language model's share."""

    labels: tuple[int, ...]
    score: float


@dataclass(frozen=True)
class _Prefix:
    """What the predictor and the language model make of a prefix."""

    predictor_out: torch.Tensor  # (J,), projected
    state: State  # two of (layers, D)
    lm_scores: torch.Tensor | None  # (V,), weighted
    lm_state: Any


class Beam:
    """Time-synchronous beam search (Saon, Tüske & Audhkhasi 2020, "Alignment-length synchronous decoding", section 2).

    At every frame each hypothesis either ends the frame with a blank or puts out one more label, up to `max_symbols`
    of them; of those that ended it the `beam` best go on to the next frame. Hypotheses with the same labels are one:
    their probabilities are added. One that is worse, before its blank, than the last of `beam` that have ended is
    dropped.

    score = ln P(labels | speech) + lm_weight · ln P_LM(labels, end) + length_bonus · labels; with a beam that
    loses nothing, the first term is the negative of the training loss.

    Args:
        lm: a language model with ESPnet's batch scoring over the same tokens.
        lm_watch: a context in which the language model runs, for taking its time.
    """

    def __init__(
        self,
        model: Any,
        beam: int = 5,
        max_symbols: int = 3,
        lm: Any = None,
        lm_weight: float = 0.3,
        length_bonus: float = 0.0,
        lm_watch: AbstractContextManager[Any] | None = None,
    ):
        self.model, self.beam, self.max_symbols = model, beam, max_symbols
        self.lm, self.lm_weight, self.length_bonus = lm, lm_weight, length_bonus
        self.lm_watch = lm_watch if lm_watch is not None else nullcontext()
        self._device = model.joiner.output.weight.device
        self._prefixes: dict[tuple[int, ...], _Prefix] = {}
        self._extend([((), None)])
        self.hypotheses = [Hypothesis((), 0.0)]

    def advance(self, encoder_out: torch.Tensor) -> None:
        """Read on: the next encoder output (T, D) of the utterance."""
        for frame in self.model.joiner.encoder(encoder_out):
            self._advance_frame(frame)

    def finish(self) -> list[Hypothesis]:
        """The hypotheses from best to worst, the language model's probability that they end here included."""
        if self.lm is None:
            return self.hypotheses
        ended = [
            Hypothesis(
                hypothesis.labels, hypothesis.score + self._prefixes[hypothesis.labels].lm_scores[self.model.eos].item()
            )
            for hypothesis in self.hypotheses
        ]
        return sorted(ended, key=_order)

    def _advance_frame(self, frame: torch.Tensor) -> None:
        ended: dict[tuple[int, ...], float] = {}
        open_ = self.hypotheses
        for symbols in range(self.max_symbols + 1):
            prefixes = [self._prefixes[hypothesis.labels] for hypothesis in open_]
            logits = self.model.joiner.join(frame, torch.stack([prefix.predictor_out for prefix in prefixes]))
            scores = logits.float().log_softmax(-1)
            before = torch.tensor([hypothesis.score for hypothesis in open_], device=self._device)
            blank = self.model.blank_id
            for hypothesis, score in zip(open_, (before + scores[:, blank]).tolist(), strict=True):
                ended[hypothesis.labels] = _add(ended.get(hypothesis.labels, -math.inf), score)
            if symbols == self.max_symbols:
                break
            scores = scores + before[:, None] + self.length_bonus
            if self.lm is not None:
                scores = scores + torch.stack([prefix.lm_scores for prefix in prefixes])
            scores[:, blank] = -math.inf
            worst = sorted(ended.values(), reverse=True)[self.beam - 1] if len(ended) >= self.beam else -math.inf
            best, index = scores.flatten().topk(min(self.beam, scores.numel() - len(open_)))
            found = [
                (hypothesis := open_[place // scores.shape[1]], place % scores.shape[1], score)
                for place, score in zip(index.tolist(), best.tolist(), strict=True)
                if score > worst
            ]
            if not found:
                break
            self._extend([(hypothesis.labels, label) for hypothesis, label, _ in found])
            open_ = [Hypothesis((*hypothesis.labels, label), score) for hypothesis, label, score in found]
        ranked = sorted((Hypothesis(labels, score) for labels, score in ended.items()), key=_order)
        self.hypotheses = ranked[: self.beam]
        if len(self._prefixes) > 1000:
            self._prefixes = {hypothesis.labels: self._prefixes[hypothesis.labels] for hypothesis in self.hypotheses}

    def _extend(self, steps: Sequence[tuple[tuple[int, ...], int | None]]) -> None:
        """Run predictor and language model over prefixes with one more label; None begins a sentence."""
        steps = [(before, label) for before, label in steps if self._after(before, label) not in self._prefixes]
        if not steps:
            return
        blank = self.model.blank_id
        labels = torch.tensor([[blank if label is None else label] for _, label in steps], device=self._device)
        parents = [None if label is None else self._prefixes[before] for before, label in steps]
        state = None
        if parents[0] is not None:
            state = tuple(torch.stack([parent.state[part] for parent in parents], dim=1) for part in (0, 1))
        output, state = self.model.predictor(labels, state)
        output = self.model.joiner.predictor(output[:, 0])
        after = [self._after(before, label) for before, label in steps]
        lm_results = self._score(after, [parent and parent.lm_state for parent in parents])
        for row, labels_so_far in enumerate(after):
            own_state = (state[0][:, row], state[1][:, row])
            self._prefixes[labels_so_far] = _Prefix(output[row], own_state, *lm_results[row])

    @staticmethod
    def _after(before: tuple[int, ...], label: int | None) -> tuple[int, ...]:
        return before if label is None else (*before, label)

    def _score(self, prefixes: Sequence[tuple[int, ...]], states: Sequence[Any]) -> list[tuple[Any, Any]]:
        """The language model's weighted scores (V,) and its state after each prefix; those of one length together."""
        results: list[tuple[Any, Any]] = [(None, None)] * len(prefixes)
        if self.lm is None:
            return results
        for length in {len(prefix) for prefix in prefixes}:
            rows = [row for row, prefix in enumerate(prefixes) if len(prefix) == length]
            text = torch.tensor([[self.model.sos, *prefixes[row]] for row in rows], device=self._device)
            with self.lm_watch:
                scores, after = self.lm.batch_score(text, [states[row] for row in rows], None)
            for row, score, state in zip(rows, scores * self.lm_weight, after, strict=True):
                results[row] = (score, state)
        return results


def _add(a: float, b: float) -> float:
    """ln(e^a + e^b)."""
    high, low = max(a, b), min(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def _order(hypothesis: Hypothesis) -> tuple[float, tuple[int, ...]]:
    """Best first; ties by labels, so that the order is always the same."""
    return -hypothesis.score, hypothesis.labels


def _select(state: State, rows: torch.Tensor) -> State:
    return state[0][:, rows], state[1][:, rows]
