"""How long systems take: one protocol that measures them, and what is told from its rows.

A clock on a machine with other work is unsteady for seconds to minutes. So all systems are timed on one utterance, in
random order, then on the next, and all of that in several rounds: what slows the machine down slows them all, and the
median over rounds leaves out what hit one of them. Intervals are of rounds and utterances: Student's t, as of error
rates over seeds and utterances; those of percentiles of both drawn anew (Owen 2007, see
`secateur.statistics.bootstrap`). The reference is timed twice, as though it were two systems (an A/A test): where that
shows a difference, the other differences are not to be believed either.
"""

import logging
import os
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from secateur.core.errors import SecateurError
from secateur.statistics.bootstrap import Resampled, resample
from secateur.statistics.estimates import Estimate, TestSet, error_rate, relative_change

PARTS = ("encoder_s", "search_s", "lm_s")
AGAIN = "A/A"
"""The name of the reference where it is timed for the second time."""
INTERVALS = ("total_s", "p50_s", "rtf")
"""What tables give an interval of, of the numbers of `latency`."""
ENDS = tuple(f"{name}{end}" for name in INTERVALS for end in ("", "_low", "_high"))
RATIO = ("ratio", "ratio_low", "ratio_high")
SAME = ("same", "same_low", "same_high")
CONDITIONS = (*SAME, "others", "measured", "doubt")
"""The columns that `Measurement.conditions` has."""
STALL = 1.25
OTHERS = 0.1
"""The most of the machine that other processes may use meanwhile."""

Rows = Sequence[Mapping[str, str | float]]
Timed = Callable[[str], Mapping[str, float]]


@dataclass(frozen=True)
class Measurement:
    """Times of several systems on the same utterances.

    Attributes:
        rows: by system, AGAIN last: one row per round and utterance, with `round`, `utterance`, `duration_s` and the
            seconds of each of PARTS.
        same: the reference's second time as a multiple of its first: ratio, and its interval (low, high).
        others: share of the machine that other processes used meanwhile; None where the system does not tell.
        measured: 1, or 2 if the first measurement was not sound.
    """

    rows: dict[Any, list[dict[str, str | float]]]
    same: tuple[float, float, float]
    others: float | None
    measured: int

    @property
    def doubt(self) -> str:
        """Why the times are not to be relied on, or ""."""
        ratio, low, high = self.same
        if not low <= 1 <= high:
            return f"the same model timed twice differs: ratio {ratio:.3f}, interval {low:.3f} to {high:.3f}"
        if self.others is not None and self.others > OTHERS:
            return f"other processes used {self.others:.0%} of the machine meanwhile"
        return ""

    @property
    def conditions(self) -> dict[str, Any]:
        """What a table of these times says of how they were measured."""
        facts = {"others": self.others, "measured": self.measured, "doubt": self.doubt}
        return dict(zip(SAME, self.same, strict=True)) | facts


def measure(
    systems: Mapping[Hashable, Timed], reference: Hashable, durations: Mapping[str, float], rounds: int, seed: int = 0
) -> Measurement:
    """Time systems in rounds, utterance by utterance, in random order; once more if that is not sound.

    Args:
        systems: by name, what runs an utterance and gives the seconds of each of PARTS. All are run on all utterances
            once in vain first. AGAIN is no name for one.
        reference: one of them, the one that is timed twice.
        durations: the utterances, and the seconds that each lasts.
        rounds: at least 1.
        seed: of the order.
    """
    if not durations or rounds < 1 or len(durations) * rounds < 2:
        raise SecateurError(
            f"{len(durations)} utterances and {rounds} rounds; expected at least one of each, and two of either: once "
            "shows nothing of how sure a time is"
        )
    for measured in (1, 2):
        machine = Machine()
        rows = _timed_rows(dict(systems) | {AGAIN: systems[reference]}, durations, rounds, seed)
        same = relative_time(rows[AGAIN], rows[reference])
        found = Measurement(rows, same, machine.others(), measured)
        if not found.doubt:
            break
        logging.warning("times: %s%s", found.doubt, "; measuring once more" if measured == 1 else "")
    return found


def _timed_rows(
    systems: Mapping[Hashable, Timed], durations: Mapping[str, float], rounds: int, seed: int
) -> dict[Any, list[dict[str, str | float]]]:
    generator, names, utterances = np.random.default_rng(seed), list(systems), list(durations)
    rows: dict[Any, list[dict[str, str | float]]] = {name: [] for name in names}
    for number in range(rounds + 1):  # the first warms up
        for utterance in generator.permutation(len(utterances)):
            for place in generator.permutation(len(names)):
                seconds = systems[names[place]](utterances[utterance])
                if number:
                    facts = {"round": number, "utterance": utterances[utterance]}
                    facts["duration_s"] = durations[utterances[utterance]]
                    rows[names[place]].append(facts | {part: seconds[part] for part in PARTS})
    order = {utterance: place for place, utterance in enumerate(utterances)}
    return {
        name: sorted(found, key=lambda row: (row["round"], order[row["utterance"]])) for name, found in rows.items()
    }


class Machine:
    """What share of a Linux machine's processors other processes use, from the moment that this is made."""

    def __init__(self, file: Path = Path("/proc/stat")):
        self.file = file
        self._before = self._seconds(), time.process_time()

    def others(self) -> float | None:
        """Their share of all processors' time so far; None where the system does not tell."""
        now, mine = self._seconds(), time.process_time() - self._before[1]
        if now is None or self._before[0] is None:
            return None
        busy, whole = (after - before for after, before in zip(now, self._before[0], strict=True))
        return max(0.0, busy - mine) / whole if whole > 0 else 0.0

    def _seconds(self) -> tuple[float, float] | None:
        """Seconds that all processors together were busy, and seconds in all, since the machine was started.

        The first line has ticks as user (guests included), nice, system, idle, waiting, interrupts (2), stolen.
        """
        try:
            ticks = [int(word) for word in self.file.read_text().split("\n", 1)[0].split()[1:9]]
        except (OSError, ValueError):
            return None
        if len(ticks) < 8:
            return None
        per_second = os.sysconf("SC_CLK_TCK")
        return (sum(ticks) - ticks[3] - ticks[4]) / per_second, sum(ticks) / per_second


def latency(rows: Rows) -> dict[str, float]:
    """Summarise the rows of a system, as `measure` gives them; without a column `round`, they are of one round.

    Returns, in seconds: `encoder_s`, `search_s`, `lm_s` and their sum `total_s`, means over utterances of the medians
    over rounds; `p50_s` and `p95_s`, percentiles of the total over utterances (linear interpolation); and `rtf`, the
    real-time factor: seconds of computation of all utterances per second of their audio.
    Raises SecateurError when there is no row, an utterance of no duration, or one that is not in every round.
    """
    _, seconds, durations = _seconds(rows)
    return {name: value.item() for name, value in _summary(np.median(seconds, axis=0)[None], durations[None]).items()}


def latency_intervals(rows: Rows, seed: int = 0) -> dict[str, tuple[float, float]]:
    """The interval (low, high) of each number that `latency` gives; it raises as that does.

    Those of percentiles are of rounds and utterances drawn anew; so are all of one utterance. Few rounds that decide
    much, and times as skewed as durations, make that too narrow for means: see `_interval`.
    """
    _, seconds, durations = _seconds(rows)
    summary = latency(rows)
    columns = list(summary)

    def drawn(medians: np.ndarray, utterances: np.ndarray) -> np.ndarray:
        found = _summary(np.take_along_axis(medians, utterances[..., None], axis=1), durations[utterances])
        return np.stack([found[name] for name in columns], axis=1)

    draws = _resample(0.0, seconds, drawn, seed)
    found = {name: Resampled(summary[name], draws.draws[:, place], draws.sizes) for place, name in enumerate(columns)}
    ends = {name: (each.low, each.high) for name, each in found.items()}
    if len(durations) > 1:
        totals = np.concatenate([seconds, seconds.sum(axis=2, keepdims=True)], axis=2)
        for place, name in enumerate((*PARTS, "total_s")):
            ends[name] = _interval(summary[name], totals[..., place], np.ones_like(durations))
        ends["rtf"] = _interval(summary["rtf"], totals[..., -1], durations)
    return ends


def _interval(value: float, seconds: np.ndarray, lengths: np.ndarray) -> tuple[float, float]:
    """The interval of a ratio of sums over utterances: medians of seconds (rounds, utterances), and `lengths`.

    All utterances are timed in all rounds, as they are read by models of all seeds in `secateur.statistics.estimates`,
    and times are as skewed as error counts: so the interval is that of an error rate, of nanoseconds.
    """
    if not value:
        return 0.0, 0.0
    found = error_rate(_around_medians(seconds), TestSet(lengths.tolist()))
    return float(value * found.low / found.value), float(value * found.high / found.value)


def _around_medians(seconds: np.ndarray) -> np.ndarray:
    """Nanoseconds (rounds, utterances), whose deviations from their medians over rounds say how sure those are.

    The median of rounds is less sure than their mean, whose standard error is √(π / 2) times smaller. A stall counts
    at most `STALL` times the median.
    """
    medians = np.median(seconds, axis=0)
    return 1e9 * (medians + (np.pi / 2) ** 0.5 * (np.minimum(seconds, STALL * medians) - medians))


def relative_time(rows: Rows, baseline: Rows) -> tuple[float, float, float]:
    """Total seconds of a decoding as a multiple of those of `baseline`: the ratio, and its interval (low, high)."""
    found = time_ratio(rows, baseline)
    return float(found.value), float(found.low), float(found.high)


def time_ratio(rows: Rows, baseline: Rows) -> Estimate:
    """Total seconds of a decoding as a multiple of those of `baseline`, by their medians over rounds.

    Both are of the same rounds and utterances, and are compared within them: what makes both slow cancels. The
    interval of one utterance is over its rounds; that of one round of it has no ends.
    Raises SecateurError when they differ, and as `latency` does.
    """
    (names, seconds, _), (others, base, _) = _seconds(rows), _seconds(baseline)
    if names != others or seconds.shape != base.shape:
        raise SecateurError("the two decodings are not of the same utterances in the same order; decode the same data")
    mine, theirs = seconds.sum(axis=2), base.sum(axis=2)
    ratio = np.median(mine, axis=0).sum() / np.median(theirs, axis=0).sum()
    pair = _around_medians(mine), _around_medians(theirs)
    if len(names) == 1:
        pair = pair[0].T, pair[1].T
    change = relative_change(*pair, TestSet([1.0] * pair[0].shape[1]))
    return Estimate(ratio, ratio * change.se / (100 + change.value), change.df, 1, len(names), floor=0.0)


def share_of_time(rows: Rows, part: str) -> tuple[float, float, float]:
    """The share that one of `PARTS` has in all seconds of a decoding, and its interval (low, high).

    What slows a whole round down changes no share: only what the part deviates by from its share of a time counts.
    Raises SecateurError as `latency` does.
    """
    _, seconds, _ = _seconds(rows)
    totals, mine = seconds.sum(axis=2), seconds[..., PARTS.index(part)]
    lengths = np.median(totals, axis=0)
    medians = np.median(seconds, axis=0).sum(axis=0)
    value = medians[PARTS.index(part)] / medians.sum()
    if len(lengths) == 1:
        return float(value), float(value), float(value)
    low, high = _interval(value, np.maximum(mine + value * (lengths - totals), 0.0), lengths)
    return float(value), low, min(high, 1.0)


def _resample(
    value: float, seconds: np.ndarray, statistic: Callable[[np.ndarray, np.ndarray], np.ndarray], seed: int
) -> Resampled:
    """Draw rounds and utterances of seconds (rounds, utterances, parts).

    `statistic` gets medians (R, utterances, parts) over the rounds of each draw, and its utterances (R, utterances).
    A stall that is drawn three or four times of six makes a median that no other draw would, so a time counts at most
    `STALL` times its median over rounds, which leaves the medians of the rounds themselves as they are.
    """
    rounds, utterances, parts = seconds.shape
    seconds = np.minimum(seconds, STALL * np.median(seconds, axis=0))
    if rounds == 1:
        medians = np.broadcast_to(seconds, (1, utterances, parts))

        def once(drawn: np.ndarray) -> np.ndarray:
            return statistic(np.broadcast_to(medians, (len(drawn), utterances, parts)), drawn)

        return resample(value, once, [utterances], seed, cells=parts)

    def both(drawn_rounds: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        return statistic(_medians(seconds, drawn_rounds), drawn)

    return resample(value, both, [rounds, utterances], seed, cells=parts)


def _medians(seconds: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Medians (R, utterances, parts) of seconds (rounds, utterances, parts) over drawn rounds (R, rounds).

    Many draws are of the same rounds, and only their number counts.
    """
    kinds, inverse = np.unique(np.sort(drawn, axis=1), axis=0, return_inverse=True)
    return np.median(seconds[kinds], axis=1)[inverse.ravel()]


def _seconds(rows: Rows) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The utterances, their seconds (rounds, utterances, parts) and durations (utterances,)."""
    if not rows:
        raise SecateurError("no decoded utterance to take the time of; decode at least one")
    for row in rows:
        if float(row["duration_s"]) <= 0:
            raise SecateurError(
                f"utterance {row['utterance']!r} lasts {row['duration_s']} s; correct utt2dur of its data directory"
            )
    rounds: dict[int, list[Mapping[str, str | float]]] = {}
    for row in rows:
        rounds.setdefault(int(row.get("round", 1)), []).append(row)
    names = _names(next(iter(rounds.values())))
    if any(_names(found) != names for found in rounds.values()):
        raise SecateurError("the rounds of a system are not of the same utterances in the same order; measure it again")
    seconds = [[[float(row[part]) for part in PARTS] for row in found] for found in rounds.values()]
    return names, np.array(seconds), np.array([float(row["duration_s"]) for row in rows[: len(names)]])


def _names(rows: Iterable[Mapping[str, str | float]]) -> list[str]:
    return [str(row["utterance"]) for row in rows]


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
