"""Two systems compared over seeds and utterances: rates, difference, relative change, and a verdict by a margin."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secateur.core.errors import SecateurError
from secateur.reporting.results import Results
from secateur.reporting.systems import System, counts
from secateur.statistics.estimates import Estimate, TestSet, difference, error_rate, relative_change
from secateur.statistics.verdicts import Claim, Evidence, verdicts
from secateur.study.margins import margins

COLUMNS = (
    *("wer_a", "wer_b", "difference", "difference_low", "difference_high", "p_value", "detectable"),
    *("relative", "relative_low", "relative_high", "seeds", "utterances", "interval"),
)
"""What `columns` gives: rates of A and B, A minus B in points, and in percent of B."""
NOTE = (
    "Intervals are 95 %, over seeds and utterances together, by Student's t; all seeds read the same utterances. p is "
    "two-sided, of each comparison by itself. Detectable: the smallest true difference that this test set and these "
    "seeds show with a probability of 80 %."
)
ONE_SEED = "One seed: the intervals are over utterances, and say nothing of models trained again."
THESE_SPEAKERS = "A language has fewer than ten speakers: the intervals hold for these speakers."
Several = System | tuple[System, ...]
"""One system, or some whose errors are averaged."""


@dataclass(frozen=True)
class Compared:
    """A system against a reference, on the same utterances.

    Attributes:
        mine, reference: error rates in percent, means over languages and seeds.
        absolute: the difference in percentage points.
        relative: the difference in percent of the reference's rate; None where that is 0.
        these_speakers: see `TestSet`.
        files: that it is made from, separated by spaces.
    """

    mine: Estimate
    reference: Estimate
    absolute: Estimate
    relative: Estimate | None
    these_speakers: bool
    files: str

    @property
    def interval(self) -> str:
        """What the intervals are over."""
        over = "seeds and utterances" if self.absolute.seeds > 1 else "utterances"
        return f"{over}, these speakers" if self.these_speakers else f"{over}, by speaker"

    def against(self, margin: "Margin") -> tuple[Estimate, float]:
        """The number that a margin is held against, and the margin in its unit; of a rate of 0, the points."""
        if margin.relative and self.relative is not None:
            return self.relative, margin.value
        return self.absolute, margin.value


@dataclass(frozen=True)
class Margin:
    """What counts as no worse: so many percentage points more errors, or percent of the reference's."""

    value: float
    relative: bool = False

    def __str__(self) -> str:
        return f"{self.value:g} {'% of the reference' if self.relative else 'percentage points'}"


def margin_of(config: Mapping[str, Any]) -> Margin:
    """The margin of a study (`claims.margin`, `claims.margin_unit`)."""
    found = margins(config)
    return Margin(found.margin, found.margin_unit == "relative")


def compared(
    results: Results, mine: Sequence[Several], reference: Sequence[Several], codes: Iterable[str] | None = None
) -> Compared:
    """Compare a system with another, by seed.

    Args:
        mine, reference: one for each seed, in the same order; one alone is compared with all seeds of the other.
        codes: languages; by default those of the systems.

    Raises SecateurError where the two are not about the same utterances.
    """
    codes = list(codes) if codes else None
    (errors, test, files), (others, other, more) = (_errors(results, side, codes) for side in (mine, reference))
    if test[:3] != other[:3]:
        folder = next(iter(_members(reference[0])[0].decodings.values())).folder
        raise SecateurError(
            f"{results.root / folder} is not about the same utterances as what it is compared with; "
            "delete the older one and run again"
        )
    data = TestSet(test[1], test[2], test[3])
    relative = relative_change(errors, others, data) if others.sum() else None
    return Compared(
        error_rate(errors, data),
        error_rate(others, data),
        difference(errors, others, data),
        relative,
        data.these_speakers,
        " ".join(dict.fromkeys(f"{files} {more}".split())),
    )


def columns(found: Compared) -> dict[str, Any]:
    """A comparison as the columns `COLUMNS`."""
    absolute, relative = found.absolute, found.relative
    values = (
        *(found.mine.value, found.reference.value, absolute.value, absolute.low, absolute.high),
        *(two_sided(absolute), absolute.detectable),
        *((relative.value, relative.low, relative.high) if relative else (None, None, None)),
        *(absolute.seeds, absolute.utterances, found.interval),
    )
    return {name: number(value) for name, value in zip(COLUMNS, values, strict=True)}


def number(value: Any) -> Any:
    """A number for a table: empty where it is not finite, for want of a second utterance or seed."""
    if value is None or isinstance(value, int | str):
        return value
    return float(value) if np.isfinite(value) else None


def two_sided(estimate: Any, bound: float = 0.0) -> float:
    """The two-sided p-value of the hypothesis that a number is `bound`."""
    return float(min(1.0, 2 * min(estimate.p_below(bound), estimate.p_above(bound))))


def no_worse(found: Compared, margin: Margin, level: float) -> str:
    """The verdict on the claim that a system is no worse than its reference, by a margin, by itself."""
    estimate, below = found.against(margin)
    return verdicts({"": Evidence(Claim(below=below), estimate)}, level)[""].verdict


def note(rows: Iterable[Mapping[str, str]]) -> str:
    """How to read the columns of rows, for a caption."""
    return " ".join((NOTE, *limits(list(rows))))


def limits(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """What the intervals of rows do not tell, in sentences."""
    said = [ONE_SEED] if any(row["seeds"] == "1" for row in rows) else []
    return said + ([THESE_SPEAKERS] if any(row["interval"].endswith("these speakers") for row in rows) else [])


def _members(system: Several) -> tuple[System, ...]:
    return (system,) if isinstance(system, System) else system


def _errors(results: Results, side: Sequence[Several], codes: list[str] | None) -> tuple[np.ndarray, tuple, str]:
    """Errors (S, U), (names, words, languages, speakers) of the utterances, and the files."""
    rows, test = [], None
    files: dict[str, None] = {}
    for system in side:
        found = [counts(results, one, codes) for one in _members(system)]
        for one in found:
            facts = (one.names, one.words, one.languages, one.speakers)
            test = test or facts
            if test[:3] != facts[:3]:
                raise SecateurError(
                    f"{results.root / one.files.split()[0]}: not the utterances of the other seeds; delete the older "
                    "one and run again"
                )
            files |= dict.fromkeys(one.files.split())
        rows.append(np.mean([one.errors for one in found], axis=0))
    assert test is not None
    return np.array(rows), test, " ".join(files)
