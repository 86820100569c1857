"""Latency and real-time factor of a decoding, from the seconds that its hypotheses table records."""

from collections.abc import Mapping, Sequence

import numpy as np

from secateur.errors import SecateurError

PARTS = ("encoder_s", "search_s", "lm_s")


def latency(rows: Sequence[Mapping[str, str | float]]) -> dict[str, float]:
    """Summarise the rows of `hypotheses.tsv`.

    Returns, in seconds: `encoder_s`, `search_s`, `lm_s` and their sum `total_s`, means per utterance; `p50_s` and
    `p95_s`, percentiles of the total over utterances (linear interpolation); and `rtf`, the real-time factor:
    seconds of computation of all utterances per second of their audio.
    Raises SecateurError when there is no row, or an utterance of no duration.
    """
    if not rows:
        raise SecateurError("no decoded utterance to take the time of; decode at least one")
    for row in rows:
        if float(row["duration_s"]) <= 0:
            raise SecateurError(
                f"utterance {row['utterance']!r} lasts {row['duration_s']} s; correct utt2dur of its data directory"
            )
    seconds = np.array([[float(row[part]) for part in PARTS] for row in rows])  # (utterances, parts)
    totals = seconds.sum(axis=1)
    audio = sum(float(row["duration_s"]) for row in rows)
    p50, p95 = np.percentile(totals, [50, 95])
    return dict(zip(PARTS, map(float, seconds.mean(axis=0)), strict=True)) | {
        "total_s": float(totals.mean()),
        "p50_s": float(p50),
        "p95_s": float(p95),
        "rtf": float(totals.sum() / audio),
    }
