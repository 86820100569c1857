"""How fast this machine is: a few seconds of the arithmetic that trainings are made of, and of plain Python.

Run as `python -m secateur.watch.probe`; it prints how much longer this takes here than on the machine that the
constants of `watch.expected` are of.
"""

import time

import numpy as np

MULTIPLICATIONS, LOOPS = 150, 2_000_000
REFERENCE = 0.95
"""Seconds that all of it takes on that machine."""


def main() -> None:
    print(seconds() / REFERENCE)


def seconds() -> float:
    """The seconds that a thread takes for matrix products of the size of a layer, and for loops."""
    random = np.random.default_rng(0)
    frames, weights = random.random((448, 448), np.float32), random.random((448, 448), np.float32)
    frames @ weights  # the first call also loads the library
    started = time.perf_counter()
    for _ in range(MULTIPLICATIONS):
        frames @ weights
    total = 0
    for number in range(LOOPS):
        total += number
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
