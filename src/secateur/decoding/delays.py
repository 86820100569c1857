"""What a listener waits for, where speech is transcribed piece by piece as it arrives.

A piece of audio is there when its last sample was spoken. Work on it begins then, or when the piece before is done, if
that is later; what it leads to is shown when it is done. Before the first and the last label stand the beginning and
the end of speech, by its energy: silence at the ends of a recording is no delay.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FRAME, HOP = 0.025, 0.01
"""Seconds of a frame, and from one to the next."""
BELOW = 40.0
"""A frame is speech if its energy is at most so many dB below that of the loudest."""


@dataclass(frozen=True)
class Delays:
    """Seconds from the beginning of speech to the first label, and from its end to the last; None without any label.

    `first_waited` and `last_waited` are the same on a machine that takes no time at all: what pieces, segments and the
    look-ahead cost, and how late the model says what it knows.
    """

    first: float | None
    last: float | None
    first_waited: float | None
    last_waited: float | None


def shown_at(there: Sequence[float], took: Sequence[float]) -> list[float]:
    """When each piece is done, in seconds, if it is there at `there`, in rising order, and `took` so long."""
    done, found = 0.0, []
    for arrival, seconds in zip(there, took, strict=True):
        done = max(done, arrival) + seconds
        found.append(done)
    return found


def delays(there: Sequence[float], took: Sequence[float], labels: Sequence[int], begins: float, ends: float) -> Delays:
    """The delays of an utterance.

    Args:
        there: seconds from the beginning of the recording at which each piece is there.
        took: seconds of computation of each.
        labels: how many labels each leads to.
        begins, ends: of speech, in seconds.
    """
    with_labels = [place for place, count in enumerate(labels) if count]
    if not with_labels:
        return Delays(None, None, None, None)
    first, last, shown = with_labels[0], with_labels[-1], shown_at(there, took)
    return Delays(shown[first] - begins, shown[last] - ends, there[first] - begins, there[last] - ends)


def speech_bounds(samples: np.ndarray, rate: int) -> tuple[float, float]:
    """Where speech begins and ends in samples (T,), in seconds: the first and the last frame that is loud enough.

    Of silence, or of less than a frame, it is the whole recording.
    """
    size, hop = round(FRAME * rate), round(HOP * rate)
    if len(samples) < size or not np.any(samples):
        return 0.0, len(samples) / rate
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), size)[::hop]
    power = np.mean(frames**2, axis=1)
    (loud,) = np.nonzero(power >= power.max() * 10 ** (-BELOW / 10))
    return float(loud[0] * hop / rate), float((loud[-1] * hop + size) / rate)
