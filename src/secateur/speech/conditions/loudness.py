"""Another loudness: every sample times a factor."""

import numpy as np

from secateur.speech.conditions import Given

SCHEMA = {"gain": {"description": "Change in dB; −20 is a tenth of the amplitude.", "type": "number", "maximum": 20}}


def apply(samples: np.ndarray, rate: int, given: Given, generator: np.random.Generator) -> np.ndarray:
    """Samples (T,) times 10^(gain / 20)."""
    return samples * 10 ** (given.options["gain"] / 20)
