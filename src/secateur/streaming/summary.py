"""The columns of streaming systems: what listeners wait for, over utterances, and beside the first system."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from secateur.decoding.scoring import score, word_error_rate
from secateur.decoding.timing import CONDITIONS, RATIO, Measurement, latency, latency_intervals, relative_time
from secateur.statistics.medians import median_interval

WAITED = ("first_s", "last_s")
"""What has an interval over utterances, and one of its difference from the first system."""
DELAYS = tuple(f"{name}{end}" for name in WAITED for end in ("", "_low", "_high", "_more", "_more_low", "_more_high"))
WORST = ("slowest_piece", "early_bytes", "late_bytes")
FACTS = ("first_s", "last_s", "first_waited_s", "last_waited_s", *WORST)
UTTERANCE_COLUMNS = ("system", "utterance", "duration_s", "speech_begins", "speech_ends", *FACTS, "text")
RTF = ("rtf", "rtf_low", "rtf_high")
ABOUT = ("bytes", "utterances", "silent", "rounds", "milliseconds", "latency")
COLUMNS = (
    *("system", "wer", "wer_low", "wer_high", *DELAYS, "first_waited_s", "last_waited_s", *RTF, *RATIO),
    *(*WORST, *ABOUT, *CONDITIONS),
)


def called(name: str, kind: str) -> str:
    """What a model is called whose matrices of weights are stored in this format."""
    return name if kind == "float32" else f"{name}, {kind}"


def times(measured: Measurement, system: str, whole: str) -> dict[str, Any]:
    """The columns `RTF`, `RATIO` and `CONDITIONS` of a system."""
    rows = measured.rows[system]
    low, high = latency_intervals(rows)["rtf"]
    found = dict(zip(RTF, (latency(rows)["rtf"], low, high), strict=True)) | measured.conditions
    return found | dict(zip(RATIO, relative_time(rows, measured.rows[whole]), strict=True))


def summary(
    mine: Sequence[Mapping[str, Any]], whole: Sequence[Mapping[str, Any]], references: Mapping[str, str]
) -> dict[str, Any]:
    """The other columns of a system, from its rows of utterances and those of the first system, in the same order.

    Delays are medians over the utterances that have a label, differences those over what has one in both systems.
    """
    texts = {row["utterance"]: row["text"] for row in mine}
    scores = score({name: references[name] for name in texts}, texts)
    rate = word_error_rate([one.errors for one in scores], [one.words for one in scores])
    high = rate.high if np.isfinite(rate.high) else None
    found: dict[str, Any] = {"wer": rate.value, "wer_low": rate.low, "wer_high": high}
    for name in WAITED:
        found |= _median(name, [row[name] for row in mine])
        pairs = [(row[name], other[name]) for row, other in zip(mine, whole, strict=True)]
        found |= _median(f"{name}_more", [None if None in pair else pair[0] - pair[1] for pair in pairs])
    for name in ("first_waited_s", "last_waited_s"):
        found[name] = _median(name, [row[name] for row in mine])[name]
    found |= {name: max(row[name] for row in mine) for name in WORST}
    return found | {"utterances": len(mine), "silent": sum(row["first_s"] is None for row in mine)}


def _median(name: str, values: Sequence[float | None]) -> dict[str, float | None]:
    """The median of what there is, with its interval over utterances."""
    known = [value for value in values if value is not None]
    found = median_interval(known) if known else (None, None, None)
    ends = (value if value is not None and np.isfinite(value) else None for value in found)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
