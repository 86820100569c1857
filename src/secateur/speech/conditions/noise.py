"""Noise at a signal-to-noise ratio: white, pink, or the babble of other utterances.

The ratio is that of the mean squares of the whole utterance and of the noise. Pink noise has a power density of 1/f.
Babble is the sum of other utterances of the same split, each at the same power, repeated until it is long enough.
"""

import numpy as np

from secateur.core.errors import SecateurError
from secateur.speech.conditions import Given

SCHEMA = {
    "noise": {"description": "What is added.", "enum": ["white", "pink", "babble"]},
    "snr": {"description": "Signal-to-noise ratio in dB.", "type": "number", "minimum": -20, "maximum": 60},
    "talkers": {"description": "Other utterances in babble.", "type": "integer", "minimum": 1, "default": 6},
}
LOWEST = 50.0
"""Pink noise has none below, in Hz: its power would grow without bounds."""


def apply(samples: np.ndarray, rate: int, given: Given, generator: np.random.Generator) -> np.ndarray:
    """Samples (T,) with noise. Raises SecateurError if there are too few other utterances for babble."""
    options = given.options
    if options["noise"] == "babble":
        if given.count < options["talkers"]:
            raise SecateurError(
                f"talkers: {options['talkers']} and only {given.count} other utterances; lower it, or take white noise"
            )
        noise = sum(_repeated(given.others(place), len(samples), generator) for place in range(options["talkers"]))
    else:
        noise = generator.standard_normal(len(samples))
        if options["noise"] == "pink":
            noise = pink(noise, rate)
    return samples + noise * gain(samples, noise, options["snr"])


def gain(samples: np.ndarray, noise: np.ndarray, snr: float) -> float:
    """The factor of noise that makes 10·log10(mean(samples²) / mean(noise²)) equal to `snr`."""
    powers = [float(np.mean(np.square(part, dtype=np.float64))) for part in (samples, noise)]
    return float(np.sqrt(powers[0] / max(powers[1], 1e-12) / 10 ** (snr / 10)))


def pink(white: np.ndarray, rate: int) -> np.ndarray:
    """White noise (T,) filtered to a power density of 1/f above `LOWEST`, and to nothing below."""
    frequencies = np.fft.rfftfreq(len(white), 1 / rate)
    shape = np.where(frequencies >= LOWEST, 1 / np.sqrt(np.maximum(frequencies, LOWEST)), 0.0)
    return np.fft.irfft(np.fft.rfft(white) * shape, len(white))


def _repeated(samples: np.ndarray, length: int, generator: np.random.Generator) -> np.ndarray:
    """Samples from a random place on, again and again until there are `length`, at a mean square of 1."""
    turned = np.roll(samples, int(generator.integers(len(samples))))
    found = np.resize(turned, length).astype(np.float64)
    return found / max(float(np.sqrt(np.mean(found**2))), 1e-6)
