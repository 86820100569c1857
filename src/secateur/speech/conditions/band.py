"""A band of frequencies, and nothing outside: a telephone from 300 to 3400 Hz."""

import numpy as np

from secateur.core.errors import SecateurError
from secateur.speech.conditions import Given

SCHEMA = {
    "low": {"description": "Lowest frequency that stays, in Hz.", "type": "number", "minimum": 0, "default": 300},
    "high": {"description": "Highest, in Hz.", "type": "number", "exclusiveMinimum": 0, "default": 3400},
}


def apply(samples: np.ndarray, rate: int, given: Given, generator: np.random.Generator) -> np.ndarray:
    """Samples (T,) without the frequencies outside of the band. Raises SecateurError for an empty band."""
    low, high = given.options["low"], given.options["high"]
    if low >= high:
        raise SecateurError(f"low: {low:g} Hz is not below high, {high:g} Hz")
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    spectrum = np.fft.rfft(samples) * ((frequencies >= low) & (frequencies <= high))
    return np.fft.irfft(spectrum, len(samples))
