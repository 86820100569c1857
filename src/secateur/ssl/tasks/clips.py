"""Clips: what an encoder is given to hear. A whole recording, a part of one, or several parts mixed together."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from secateur.speech import audio
from secateur.speech.datadir import Utterance

RATE = 16000


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


def recording(path: str, seconds: float | None = None, name: str | None = None) -> Clip:
    """The clip of a whole file; its length comes from the header unless it is given."""
    if seconds is None:
        seconds = audio.info(path).seconds
    return Clip(name or str(path), (Part(str(path)),), seconds)


def total_seconds(clips: Iterable[Clip]) -> float:
    """Seconds of all different clips together."""
    return sum({clip.id: clip.seconds for clip in clips}.values())
