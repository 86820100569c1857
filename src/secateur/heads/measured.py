"""The times of a model of `heads`, whole and without some of its heads, and how sound they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from secateur.decoding.timing import latency, latency_intervals, relative_time, time_ratio
from secateur.heads import study as heads
from secateur.reporting.grid import Row
from secateur.reporting.results import Results
from secateur.statistics.estimates import mean_ratio
from secateur.study.runs import ModelRun

TIMES = ("encoder_s", "search_s", "lm_s", "total_s", "total_s_low", "total_s_high", "p50_s", "p95_s", "rtf")
RATIO = ("ratio", "ratio_low", "ratio_high")


class Times:
    """What was measured in turns for a model of `heads`."""

    def __init__(self, results: Results, run: ModelRun):
        self.results, self.run, self.source = results, run, heads.latency_file(run)

    @property
    def files(self) -> str:
        """What the times and their conditions are in, separated by spaces."""
        return f"{self.source} {heads.conditions_file(self.run)}"

    @cached_property
    def doubt(self) -> str:
        """Why the times are not to be relied on, by the A/A test and the machine's load; or ""."""
        conditions = self.results.json(heads.conditions_file(self.run), "conditions")["conditions"]
        return conditions.get("doubt", "")

    @cached_property
    def _rows(self) -> dict[tuple[str, str], list[Row]]:
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in self.results.tsv(self.source, "system", "sub_model", "utterance", "duration_s"):
            groups.setdefault((row["system"], row["sub_model"]), []).append(row)
        return groups

    def rows(self, system: str, sub_model: str = "") -> list[Row]:
        """The utterances of a system, or of one of its sets of heads; none if it was not measured."""
        return self._rows.get((system, sub_model), [])

    def columns(self, rows: Sequence[Row], whole: Sequence[Row]) -> dict[str, float]:
        """The columns `TIMES` and `RATIO`, the latter against the rows of `whole`; none if there are no rows."""
        if not rows:
            return {}
        low, high = latency_intervals(rows)["total_s"]
        found = latency(rows) | {"total_s_low": low, "total_s_high": high}
        return found | dict(zip(RATIO, relative_time(rows, whole), strict=True))


@dataclass(frozen=True)
class Relative:
    """The time of a system as a multiple of another's, over the models of all seeds.

    Attributes:
        number: an `Estimate` or, of one seed, `Resampled`.
        seeds, utterances: behind it.
        doubt: see `Times.doubt`; of the first seed that is in doubt.
        files: that it is made from, separated by spaces.
    """

    number: Any
    seeds: int
    utterances: int
    doubt: str
    files: str

    @property
    def interval(self) -> str:
        """What the interval is over."""
        return "seeds, rounds and utterances" if self.seeds > 1 else "rounds and utterances, one model"


def relative_times(
    times: Sequence[Times], mine: Sequence[tuple[str, str]], theirs: Sequence[tuple[str, str]]
) -> Relative | None:
    """Compare two systems, each as (system, sub-model) by seed, as `times` are; None if a seed lacks one of them."""
    pairs = [(one.rows(*left), one.rows(*right)) for one, left, right in zip(times, mine, theirs, strict=True)]
    if not all(rows for pair in pairs for rows in pair):
        return None
    ratios = [time_ratio(*pair) for pair in pairs]
    number: Any = ratios[0]
    if len(ratios) > 1:
        spread = [float(np.log(one.high / one.low)) / (2 * 1.96) for one in ratios]
        number = mean_ratio([one.value for one in ratios], spread)
    utterances = len({row["utterance"] for row in pairs[0][0]})
    doubt = next((one.doubt for one in times if one.doubt), "")
    return Relative(number, len(ratios), utterances, doubt, " ".join(one.files for one in times))
