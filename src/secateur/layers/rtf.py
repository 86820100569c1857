"""The real-time factor of a model by depth, and the depth that a real-time factor allows."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from secateur.decoding import Features, Recognizer, decode
from secateur.errors import SecateurError
from secateur.files import read_tsv

Key = TypeVar("Key")
COLUMNS = (
    *("model", "depth", "layers", "search", "device", "rtf", "rtf_low", "rtf_high", "ratio"),
    *("ratio_low", "ratio_high", "rounds", "utterances", "batch", "threads"),
)


def measure(
    recognizers: Mapping[Key, Recognizer], features: Features, audio_s: float, search: Mapping[str, Any], rounds: int
) -> dict[Key, list[float]]:
    """Decode `features` with every recognizer in turn, again and again.

    They take turns, so that what else the machine does meets all of them. Returns the real-time factors of each in
    every round: seconds of computation over the `audio_s` seconds of speech.
    """
    factors: dict[Key, list[float]] = {name: [] for name in recognizers}
    for _ in range(rounds):
        for name, recognizer in recognizers.items():
            results = decode(recognizer, features, search).values()
            seconds = sum(result.encoder_s + result.search_s + result.lm_s for result in results)
            factors[name].append(seconds / audio_s)
    return factors


def summary(factors: Mapping[Key, list[float]], whole: Key) -> dict[Key, dict[str, float]]:
    """Median, least and most of the real-time factors of each, and of their ratios to those of `whole` by round."""
    found = {}
    for name, values in factors.items():
        ratios = [value / other for value, other in zip(values, factors[whole], strict=True)]
        found[name] = {"rtf": statistics.median(values), "rtf_low": min(values), "rtf_high": max(values)}
        found[name] |= {"ratio": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios)}
    return found


def depth_within(file: str | Path, budget: float, device: str, search: str | None = None) -> int:
    """The greatest depth whose real-time factor is at most `budget`, by an `rtf.tsv` (`COLUMNS`).

    Args:
        device: `cpu` or `cuda`, on which it was measured.
        search: name of the search, as the file has it; by default its first.

    Raises SecateurError when it was not measured, and when no depth is as fast.
    """
    measured = read_tsv(file)
    search = search or measured[0]["search"]
    axes = (measured[0]["model"], search, device.partition(":")[0])
    rows = [row for row in measured if (row["model"], row["search"], row["device"]) == axes]
    if not rows:
        raise SecateurError(f"{file}: search {search!r} was not measured on {device}; measure it (depth_rtf.py)")
    fits = [int(row["depth"]) for row in rows if float(row["rtf"]) <= budget]
    if not fits:
        fastest = min(rows, key=lambda row: float(row["rtf"]))
        raise SecateurError(
            f"{file}: no depth has a real-time factor of at most {budget:g}; the fastest has {fastest['depth']} layers "
            f"and {float(fastest['rtf']):.4g}"
        )
    return max(fits)
