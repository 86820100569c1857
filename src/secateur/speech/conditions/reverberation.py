"""A room: the direct sound, and a tail of noise that dies away exponentially.

The tail is Polack's model (1988): Gaussian noise times exp(−6.9 t / t60), so that its level falls by 60 dB within
`t60`. The utterance keeps its length and its mean square.
"""

import numpy as np

from secateur.speech.conditions import Given

SCHEMA = {
    "t60": {
        "description": "Seconds in which the tail falls by 60 dB.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 5,
    },
    "direct": {
        "description": "Energy of the direct sound over that of the tail, in dB.",
        "type": "number",
        "default": 0.0,
    },
}


def apply(samples: np.ndarray, rate: int, given: Given, generator: np.random.Generator) -> np.ndarray:
    """Samples (T,) as heard in the room."""
    response = impulse_response(rate, given.options["t60"], given.options["direct"], generator)
    size = len(samples) + len(response) - 1
    heard = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]
    power = np.mean(np.square(heard))
    return heard * np.sqrt(np.mean(np.square(samples)) / power) if power else heard


def impulse_response(rate: int, t60: float, direct: float, generator: np.random.Generator) -> np.ndarray:
    """(N,): 1 at time 0, and from the next sample on the tail, whose energy is `direct` dB below 1."""
    times = np.arange(1, max(2, round(t60 * rate))) / rate
    tail = generator.standard_normal(len(times)) * np.exp(-np.log(1000) * times / t60)
    return np.concatenate([[1.0], tail * np.sqrt(10 ** (-direct / 10) / np.sum(tail**2))])
