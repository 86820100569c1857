"""The times of a study's families, and how sound they are (`secateur.study.timing`, command `timing`)."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from secateur.decoding.timing import AGAIN, ENDS, PARTS, RATIO, SAME
from secateur.reporting.grid import Row
from secateur.reporting.results import Results
from secateur.statistics.estimates import Estimate, mean_ratio
from secateur.study.runs import ModelRun
from secateur.study.timing import Family, family_of, group_of, stand_ins

TIMES = (*PARTS, *ENDS, "p95_s")
"""Columns of `timing.tsv` that hold a system's seconds."""
SOUND = (*SAME, "doubt")
"""Columns of tables with seconds: the reference's second time as a multiple of its first, and what is doubtful."""
LEAST_FOR_P95 = 20
"""Utterances below which the 95th percentile is no more than the slowest of them."""
NUMBERS = (*TIMES, *RATIO, *SAME)


class FamilyTimes:
    """What was timed of a family: of every system on every device."""

    def __init__(self, results: Results, family: Family):
        self.results, self.family = results, family

    @property
    def source(self) -> str:
        return self.family.file

    @cached_property
    def _systems(self) -> dict[tuple[str, str, str, str], Row]:
        axes = ("device", "group", "system", "search", "sub_model")
        rows = self.results.tsv(self.family.file, *axes, "utterances", *TIMES, *RATIO)
        return {(row["device"], row["system"], row["search"], row["sub_model"]): row for row in rows}

    @cached_property
    def devices(self) -> list[str]:
        """Those that were measured on."""
        return list(dict.fromkeys(device for device, *_ in self._systems))

    @property
    def device(self) -> str:
        """The one that tables of one device show: a GPU, if there was one; "" before anything was timed."""
        return self.devices[-1] if self.devices else ""

    def of(self, run: ModelRun, search: str, part: str = "", device: str | None = None) -> dict[str, Any]:
        """The row of `timing.tsv` about a system, its columns `NUMBERS` as numbers; empty if it was not timed."""
        return _numbers(self._systems.get((device or self.device, run.folder, search, part)))

    def again(self, search: str, device: str | None = None) -> dict[str, Any]:
        """As `of`, the row of the reference's second time, beside which a search was timed."""
        group, device = group_of(self.results.config["searches"][search]), device or self.device
        found = (row for key, row in self._systems.items() if (key[0], key[3], row["group"]) == (device, AGAIN, group))
        return _numbers(next(found, None))

    def doubt(self, search: str) -> str:
        """Why the times of a search are not to be relied on, or ""."""
        return self.again(search).get("doubt", "")

    @cached_property
    def _utterances(self) -> dict[tuple[str, str, str, str], list[Row]]:
        groups: dict[tuple[str, str, str, str], list[Row]] = {}
        for row in self.results.tsv(self.family.utterances_file, "device", "system", "search", "sub_model", *PARTS):
            groups.setdefault((row["device"], row["system"], row["search"], row["sub_model"]), []).append(row)
        return groups

    def utterances(self, run: ModelRun, search: str, part: str = "") -> list[Row]:
        """The seconds of a system by round and utterance, for `secateur.decoding.timing`; none if it was not timed."""
        return self._utterances.get((self.device, run.folder, search, part), [])


class Times:
    """The times of all systems of a study, those taken over from another model among them."""

    def __init__(self, results: Results):
        self.results = results
        self._families: dict[Family, FamilyTimes] = {}

    def family(self, run: ModelRun) -> FamilyTimes:
        """What was timed beside a model."""
        family = family_of(self.results.config, run)
        return self._families.setdefault(family, FamilyTimes(self.results, family))

    def of(
        self, run: ModelRun, search: str, part: str = "", device: str | None = None
    ) -> tuple[dict[str, Any], ModelRun]:
        """The row about a system, as `FamilyTimes.of`, and the model that was timed for it; empty if none was."""
        family = self.family(run)
        for other in stand_ins(self.results.config, run):
            if found := family.of(other, search, part, device):
                return found, other
        return {}, run


def over_models(ratios: Sequence[Estimate]) -> Estimate:
    """The ratio of two systems' times over the models of all seeds, of which each has one (`time_ratio`)."""
    if len(ratios) == 1:
        return ratios[0]
    spread = [float(np.log(one.high / one.low)) / (2 * 1.96) for one in ratios]
    return mean_ratio([one.value for one in ratios], spread)


def timed_over(seeds: int) -> str:
    """What the interval of `over_models` is over."""
    return "seeds, rounds and utterances" if seeds > 1 else "rounds and utterances, one model"


def soundness(rows: Iterable[Row]) -> str:
    """For a caption: what the A/A tests of rows' times found, from their columns `SOUND`, and what follows."""
    found = {tuple(row[column] for column in SOUND): row for row in rows if row.get(SAME[0])}
    if not found:
        return ""
    ends = ("{:.3f} [{:.3f}, {:.3f}]".format(*(float(row[column]) for column in SAME)) for row in found.values())
    doubts = dict.fromkeys(row["doubt"] for row in found.values() if row["doubt"])
    parts = [f"A/A: the same system timed twice takes {', '.join(dict.fromkeys(ends))} of its own time."]
    parts += [
        f"These times are not to be relied on: {doubt}; claims that rest on them are undecided." for doubt in doubts
    ]
    return " ".join(parts)


def on_gpu(rows: Iterable[Row]) -> str:
    """For a caption, by the column `device`: that no time is of a GPU, where documents have times of one."""
    return "" if {row["device"] for row in rows} - {"cpu", ""} else "On a GPU: not measured."


def _numbers(row: Row | None) -> dict[str, Any]:
    if row is None:
        return {}
    found = {**row, **{name: float(row[name]) if row.get(name) else None for name in NUMBERS}}
    few = int(row["utterances"]) < LEAST_FOR_P95
    return found | ({"p95_s": None} if few else {})
