"""Transcribing utterances piece by piece, as they would arrive, with what is measured meanwhile."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from secateur.decoding.delays import Delays, delays
from secateur.decoding.streaming import StreamingTransducer
from secateur.decoding.timing import PARTS
from secateur.speech.features import SAMPLE_RATE
from secateur.speech.online_features import OnlineLogMel


@dataclass(frozen=True)
class Piece:
    """What a piece of audio led to.

    Attributes:
        there: seconds of audio that are there with it; the last piece is empty, and says that no more will come.
        labels: that it led to.
        took: seconds of computation.
        kept: bytes that the model keeps after it.
    """

    there: float
    labels: list[int]
    took: float
    kept: int


def listen(model: StreamingTransducer, samples: np.ndarray, milliseconds: int) -> Iterator[Piece]:
    """Transcribe samples (T,) at 16 kHz in pieces of so many milliseconds; `model` has the labels so far."""
    features, size = OnlineLogMel(model.about["bins"]), SAMPLE_RATE * milliseconds // 1000
    model.begin()
    for place in (*range(0, len(samples), size), len(samples)):
        piece = samples[place : place + size]
        started = time.perf_counter()
        if len(piece):
            labels = model.accept(features.accept(piece))
        else:
            labels = model.accept(features.finish()) + model.finish()
        took = time.perf_counter() - started
        yield Piece((place + len(piece)) / SAMPLE_RATE, labels, took, model.cache_bytes)


@dataclass
class Heard:
    """What came of an utterance: the same every time but for the seconds.

    Attributes:
        pieces: of the first time.
        text: of the whole utterance.
        took: seconds (pieces,) of computation, once for every time.
    """

    pieces: list[Piece]
    text: str
    took: list[np.ndarray] = field(default_factory=list)

    def seconds(self, times: int) -> np.ndarray:
        """(pieces,), the medians over the last `times`."""
        return np.median(np.stack(self.took[-times:]), axis=0)

    def delays(self, times: int, begins: float, ends: float) -> Delays:
        """By the same medians; speech begins and ends at these seconds."""
        there, labels = [piece.there for piece in self.pieces], [len(piece.labels) for piece in self.pieces]
        return delays(there, self.seconds(times).tolist(), labels, begins, ends)

    def facts(self, times: int, begins: float, ends: float, milliseconds: int) -> dict[str, Any]:
        """The columns of an utterance; the most bytes are those in its first half, and in its second."""
        found, slowest = self.delays(times, begins, ends), float(self.seconds(times)[:-1].max(initial=0.0))
        kept = [piece.kept for piece in self.pieces]
        half = (len(kept) + 1) // 2
        return {
            "first_s": found.first,
            "last_s": found.last,
            "first_waited_s": found.first_waited,
            "last_waited_s": found.last_waited,
            "slowest_piece": 1000 * slowest / milliseconds,
            "early_bytes": max(kept[:half]),
            "late_bytes": max(kept[half:]),
        }


class Listener:
    """Runs a model on utterances; a call is one of the `systems` of `secateur.decoding.timing.measure`.

    Args:
        model: what transcribes.
        waves: by utterance, samples (T,) at 16 kHz, at least one.
        milliseconds: of a piece.

    Attributes:
        heard: by utterance.
    """

    def __init__(self, model: StreamingTransducer, waves: Mapping[str, np.ndarray], milliseconds: int):
        self.model, self.waves, self.milliseconds = model, waves, milliseconds
        self.heard: dict[str, Heard] = {}

    def __call__(self, utterance: str) -> dict[str, float]:
        pieces = list(listen(self.model, self.waves[utterance], self.milliseconds))
        took = np.array([piece.took for piece in pieces])
        self.heard.setdefault(utterance, Heard(pieces, self.model.text())).took.append(took)
        return dict.fromkeys(PARTS, 0.0) | {PARTS[0]: float(took.sum())}
