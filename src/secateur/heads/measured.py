"""The times of a model of `heads`, whole and without some of its heads, and how sound they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secateur.decoding.timing import RATIO, relative_time, time_ratio
from secateur.heads import study as heads
from secateur.reporting.grid import Row
from secateur.reporting.results import Results
from secateur.reporting.times import SOUND, FamilyTimes, over_models, timed_over
from secateur.study.runs import ModelRun
from secateur.study.timing import family_of

TIMES = ("encoder_s", "search_s", "lm_s", "total_s", "total_s_low", "total_s_high", "p50_s", "p95_s", "rtf")


class Times:
    """What was measured in turns for a model of `heads`."""

    def __init__(self, results: Results, run: ModelRun):
        self.results, self.run = results, run
        self.family = FamilyTimes(results, family_of(results.config, run))

    @property
    def source(self) -> str:
        return self.family.family.utterances_file

    @property
    def files(self) -> str:
        """What the times and their conditions are in, separated by spaces."""
        return f"{self.source} {self.family.source}"

    def doubt(self, system: str) -> str:
        """Why the times of a system are not to be relied on, by the A/A test and the machine's load; or ""."""
        return self.family.doubt(self._model(system)[1])

    def rows(self, system: str, sub_model: str = "") -> list[Row]:
        """The utterances of a system, or of one of its sets of heads; none if it was not measured."""
        return self.family.utterances(*self._model(system), sub_model)

    def columns(self, system: str, sub_model: str = "", against: str = "") -> dict[str, Any]:
        """The columns `TIMES`, `RATIO` and `SOUND` of a system, or of one of its sets of heads; none if not measured.

        The ratio is against another system, by default the whole model with the same search.
        """
        run, search = self._model(system)
        if not (found := self.family.of(run, search, sub_model)):
            return {}
        base = self.rows(against or heads.system_name(heads.WHOLE, search))
        ratio = relative_time(self.rows(system, sub_model), base)
        return {name: found[name] for name in (*TIMES, *SOUND)} | dict(zip(RATIO, ratio, strict=True))

    def again(self, search: str) -> dict[str, Any]:
        """The same columns of the reference's second time, beside which a search was timed: its A/A row."""
        found = self.family.again(search)
        return {name: found[name] for name in (*TIMES, *SOUND, *RATIO)} if found else {}

    def _model(self, system: str) -> tuple[ModelRun, str]:
        method, search = system.rsplit(" ", 1)
        whole = method == heads.WHOLE
        return self.run if whole else heads.smaller_run(self._entry, method, self.run.seed), search

    @property
    def _entry(self) -> Mapping[str, Any]:
        return heads.entry_of(self.results.config, self.run)


@dataclass(frozen=True)
class Relative:
    """The time of a system as a multiple of another's, over the models of all seeds.

    Attributes:
        number: the ratio of their times.
        seeds, utterances: behind it.
        doubt: see `Times.doubt`.
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
        return timed_over(self.seeds)


def relative_times(
    times: Sequence[Times], mine: Sequence[tuple[str, str]], theirs: Sequence[tuple[str, str]]
) -> Relative | None:
    """Compare two systems, each as (system, sub-model) by seed, as `times` are; None if a seed lacks one of them."""
    pairs = [(one.rows(*left), one.rows(*right)) for one, left, right in zip(times, mine, theirs, strict=True)]
    if not all(rows for pair in pairs for rows in pair):
        return None
    ratios = [time_ratio(*pair) for pair in pairs]
    utterances = len({row["utterance"] for row in pairs[0][0]})
    sides = zip(times, mine, theirs, strict=True)
    doubts = dict.fromkeys(one.doubt(name) for one, left, right in sides for name, _ in (left, right))
    files = dict.fromkeys(one.files for one in times)
    return Relative(over_models(ratios), len(ratios), utterances, "; ".join(filter(None, doubts)), " ".join(files))
