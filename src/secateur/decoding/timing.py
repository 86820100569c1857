"""Latency and real-time factor of a decoding, from the seconds that its hypotheses table records.

Intervals are those of the utterances being a sample: the middle 95 % over `RESAMPLES` draws of as many utterances, with
replacement (Bisani & Ney 2004, as for word error rates). How much the machine's own pace varies is not in them: for
that, decodings that are to be compared take turns and are repeated (`secateur.decoding.recognize.decode_in_turns`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from secateur.core.errors import SecateurError

PARTS = ("encoder_s", "search_s", "lm_s")
RESAMPLES = 2000
TAIL = 2.5  # percent on either side of an interval

Rows = Sequence[Mapping[str, str | float]]


def timed_rows(results: Mapping[str, Any], durations: Mapping[str, float]) -> list[dict[str, str | float]]:
    """The rows that this module works on, from `recognize.Result`s and seconds of audio by utterance."""
    return [
        {"utterance": name, "duration_s": durations[name]} | {part: getattr(result, part) for part in PARTS}
        for name, result in results.items()
    ]


def latency(rows: Rows) -> dict[str, float]:
    """Summarise the rows of `hypotheses.tsv`.

    Returns, in seconds: `encoder_s`, `search_s`, `lm_s` and their sum `total_s`, means per utterance; `p50_s` and
    `p95_s`, percentiles of the total over utterances (linear interpolation); and `rtf`, the real-time factor:
    seconds of computation of all utterances per second of their audio.
    Raises SecateurError when there is no row, or an utterance of no duration.
    """
    seconds, durations = _seconds(rows)
    return {name: value.item() for name, value in _summary(seconds[None], durations[None]).items()}


def latency_intervals(rows: Rows, seed: int = 0) -> dict[str, tuple[float, float]]:
    """The interval (low, high) of each number that `latency` gives; it raises as that does."""
    seconds, durations = _seconds(rows)
    draws = _draws(len(rows), seed)
    tails = [TAIL, 100 - TAIL]
    return {
        name: tuple(map(float, np.percentile(values, tails)))
        for name, values in _summary(seconds[draws], durations[draws]).items()
    }


def relative_time(rows: Rows, baseline: Rows, seed: int = 0) -> tuple[float, float, float]:
    """Total seconds of a decoding as a multiple of those of `baseline`: the ratio, and its interval (low, high).

    Both are of the same utterances, and are drawn together: what makes an utterance slow for both cancels.
    Raises SecateurError when the utterances differ, and as `latency` does.
    """
    names, others = ([row["utterance"] for row in found] for found in (rows, baseline))
    if names != others:
        raise SecateurError("the two decodings are not of the same utterances in the same order; decode the same data")
    totals, base = (_seconds(found)[0].sum(axis=1) for found in (rows, baseline))
    draws = _draws(len(rows), seed)
    low, high = np.percentile(totals[draws].sum(axis=1) / base[draws].sum(axis=1), [TAIL, 100 - TAIL])
    return float(totals.sum() / base.sum()), float(low), float(high)


def share_of_time(rows: Rows, part: str, seed: int = 0) -> tuple[float, float, float]:
    """The share that one of `PARTS` has in all seconds of a decoding, and its interval (low, high).

    Raises SecateurError as `latency` does.
    """
    seconds, _ = _seconds(rows)
    mine, totals = seconds[:, PARTS.index(part)], seconds.sum(axis=1)
    draws = _draws(len(rows), seed)
    low, high = np.percentile(mine[draws].sum(axis=1) / totals[draws].sum(axis=1), [TAIL, 100 - TAIL])
    return float(mine.sum() / totals.sum()), float(low), float(high)


def _seconds(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Seconds (utterances, parts) and the durations (utterances,)."""
    if not rows:
        raise SecateurError("no decoded utterance to take the time of; decode at least one")
    for row in rows:
        if float(row["duration_s"]) <= 0:
            raise SecateurError(
                f"utterance {row['utterance']!r} lasts {row['duration_s']} s; correct utt2dur of its data directory"
            )
    seconds = np.array([[float(row[part]) for part in PARTS] for row in rows])  # (utterances, parts)
    return seconds, np.array([float(row["duration_s"]) for row in rows])


def _summary(seconds: np.ndarray, durations: np.ndarray) -> dict[str, np.ndarray]:
    """What `latency` gives (draws,), of draws of utterances: seconds (draws, utterances, parts), durations likewise."""
    totals = seconds.sum(axis=2)
    p50, p95 = np.percentile(totals, [50, 95], axis=1)
    return dict(zip(PARTS, seconds.mean(axis=1).T, strict=True)) | {
        "total_s": totals.mean(axis=1),
        "p50_s": p50,
        "p95_s": p95,
        "rtf": totals.sum(axis=1) / durations.sum(axis=1),
    }


def _draws(utterances: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, utterances, (RESAMPLES, utterances))
