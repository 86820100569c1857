"""Waveforms as they are, for models that read samples.

{}

A frame is `STEP` samples, 10 ms, and before them how many of these are of the utterance: fewer than `STEP` in its last
frame, which is filled up with zeros. So the number of samples is kept, and padding counts none.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from secateur.core.waves import STEP, WIDTH
from secateur.speech.front_ends import FrontEnd

SHOWN = {"called": "waveforms"}


def framed(samples: np.ndarray) -> np.ndarray:
    """Samples (N,) as frames (⌈N/STEP⌉, WIDTH), float32; `secateur.models.upstream.waves.unframed` is the inverse."""
    frames = np.zeros((-(-len(samples) // STEP), WIDTH), np.float32)
    frames[:, 1:].flat[: len(samples)] = samples
    frames[:, 0] = STEP
    if len(samples) % STEP:
        frames[-1, 0] = len(samples) % STEP
    return frames


def extractor(options: Mapping[str, Any]) -> FrontEnd:
    """Samples in frames; there are no options."""
    return FrontEnd(WIDTH, framed)
