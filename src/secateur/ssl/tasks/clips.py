"""Clips: what an encoder is given to hear. A whole recording, a part of one, or several parts mixed together."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from secateur.speech import audio
from secateur.speech.datadir import Utterance

RATE = 16000
QUIETER = 10 ** (-3 / 20)
"""The gain of −3 dB by which s3prl plays the clips of some tasks."""


@dataclass(frozen=True)
class Part:
    """A recording, or what lies between `start` and `end` seconds of it, that begins `offset` seconds into the clip."""

    audio: str
    start: float | None = None
    end: float | None = None
    offset: float = 0.0
    gain: float = 1.0
    channel: int | None = None


@dataclass(frozen=True)
class Clip:
    """What is heard under one id; `seconds` as far as it is known before reading (it orders and sizes batches)."""

    id: str
    parts: tuple[Part, ...]
    seconds: float

    def samples(self) -> np.ndarray:
        """The sum of the parts (S,), float32 at 16 kHz. Raises SecateurError naming a recording that cannot be read."""
        read = [
            (round(part.offset * RATE), part.gain * audio.read(part.audio, part.start, part.end, RATE, part.channel))
            for part in self.parts
        ]
        if len(read) == 1 and read[0][0] == 0:
            return read[0][1].astype(np.float32)
        mixed = np.zeros(max(offset + len(samples) for offset, samples in read), np.float32)
        for offset, samples in read:
            mixed[offset : offset + len(samples)] += samples
        return mixed


def cropped(clip: Clip, seconds: float, draw: Random) -> Clip:
    """A piece of a clip of one recording, `seconds` long, at a place that `draw` chooses; a clip no longer, whole."""
    if clip.seconds <= seconds:
        return clip
    (part,) = clip.parts
    start = draw.randint(0, round((clip.seconds - seconds) * RATE)) / RATE
    begin = (part.start or 0.0) + start
    piece = replace(part, start=begin, end=begin + seconds)
    return Clip(f"{clip.id}@{start:.4f}s+{seconds:g}s", (piece,), seconds)


def heard(utterance: Utterance, offset: float = 0.0, gain: float = 1.0) -> Part:
    """The part of a clip that an utterance is."""
    return Part(utterance.audio, utterance.start, utterance.end, offset, gain, utterance.channel)


def whole(utterance: Utterance) -> Clip:
    """The clip of an utterance."""
    return Clip(utterance.id, (heard(utterance),), utterance.duration)


def middle(utterance: Utterance, seconds: float | None) -> Clip:
    """The middle of an utterance, `seconds` long; all of it if it is no longer, or for None."""
    if seconds is None or utterance.duration <= seconds:
        return whole(utterance)
    start = round((utterance.start or 0.0) + (utterance.duration - seconds) / 2, 3)
    part = replace(heard(utterance), start=start, end=round(start + seconds, 3))
    return Clip(f"{utterance.id}@{seconds:g}s", (part,), seconds)


def recording(path: str, seconds: float | None = None, name: str | None = None, gain: float = 1.0) -> Clip:
    """The clip of a whole file; its length comes from the header unless it is given."""
    if seconds is None:
        seconds = audio.info(path).seconds
    return Clip(name or str(path), (Part(str(path), gain=gain),), seconds)


def total_seconds(clips: Iterable[Clip]) -> float:
    """Seconds of all different clips together."""
    return sum({clip.id: clip.seconds for clip in clips}.values())
