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
    *("relative", "relative_low", "relative_high", "cer_a", "cer_b", "cer_difference", "cer_difference_low"),
    *("cer_difference_high", "seeds", "utterances", "interval"),
)
"""What `columns` gives: rates of A and B, A minus B in points, and in percent of B; the same in characters."""
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
        characters: rates of characters of the system and of the reference, and their difference.
        these_speakers: see `TestSet`.
        files: that it is made from, separated by spaces.
    """

    mine: Estimate
    reference: Estimate
    absolute: Estimate
    relative: Estimate | None
    characters: tuple[Estimate, Estimate, Estimate]
    these_speakers: bool
    files: str

    @property
    def interval(self) -> str:
        """What the intervals are over."""
        return covered(self.absolute.seeds, self.these_speakers)

    def against(self, margin: "Margin") -> tuple[Estimate, float]:
        """The number that a margin is held against, and the margin in its unit; of a rate of 0, the points."""
        if margin.relative and self.relative is not None:
            return self.relative, margin.value
        return self.absolute, margin.value


def covered(seeds: int, these_speakers: bool) -> str:
    """What an interval over so many seeds is over. `these_speakers`: see `TestSet`."""
    over = "seeds and utterances" if seeds > 1 else "utterances"
    return f"{over}, these speakers" if these_speakers else f"{over}, by speaker"


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
    one, other = (_averaged(results, side, codes) for side in (mine, reference))
    if one.test != other.test:
        folder = next(iter(_members(reference[0])[0].decodings.values())).folder
        raise SecateurError(
            f"{results.root / folder} is not about the same utterances as what it is compared with; "
            "delete the older one and run again"
        )
    words, characters = (TestSet(lengths, one.languages, one.speakers) for lengths in (one.words, one.characters))
    relative = relative_change(one.errors, other.errors, words) if other.errors.sum() else None
    spelled = one.character_errors, other.character_errors
    return Compared(
        error_rate(one.errors, words),
        error_rate(other.errors, words),
        difference(one.errors, other.errors, words),
        relative,
        (error_rate(spelled[0], characters), error_rate(spelled[1], characters), difference(*spelled, characters)),
        words.these_speakers,
        " ".join(dict.fromkeys(f"{one.files} {other.files}".split())),
    )


def columns(found: Compared) -> dict[str, Any]:
    """A comparison as the columns `COLUMNS`."""
    absolute, relative, (*rates, spelled) = found.absolute, found.relative, found.characters
    values = (
        *(found.mine.value, found.reference.value, absolute.value, absolute.low, absolute.high),
        *(two_sided(absolute), absolute.detectable),
        *((relative.value, relative.low, relative.high) if relative else (None, None, None)),
        *(*(rate.value for rate in rates), spelled.value, spelled.low, spelled.high),
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


def no_worse(found: Sequence[Compared], margin: Margin, level: float, share: float = 1.0) -> list[str]:
    """The verdicts on the claims that systems are no worse than their references, by a margin; `share`: `verdicts`."""
    numbers = [one.against(margin) for one in found]
    evidence = {str(place): Evidence(Claim(below=below), number) for place, (number, below) in enumerate(numbers)}
    return [judged.verdict for judged in verdicts(evidence, level, share).values()]


def note(rows: Iterable[Mapping[str, str]]) -> str:
    """How to read the columns of rows, for a caption."""
    return " ".join((NOTE, *limits(list(rows))))


def limits(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """What the intervals of rows do not tell, in sentences."""
    said = [ONE_SEED] if any(row["seeds"] == "1" for row in rows) else []
    return said + ([THESE_SPEAKERS] if any(row["interval"].endswith("these speakers") for row in rows) else [])


def _members(system: Several) -> tuple[System, ...]:
    return (system,) if isinstance(system, System) else system


@dataclass(frozen=True)
class _Averaged:
    """Errors (S, U) of a side, which of several systems are means, and the utterances (U,) that they are of."""

    errors: np.ndarray
    character_errors: np.ndarray
    names: list[str]
    words: list[int]
    characters: list[int]
    languages: list[str]
    speakers: list[str]
    files: str

    @property
    def test(self) -> tuple[list, ...]:
        """What must be the same for two sides to be compared."""
        return self.names, self.words, self.languages


def _averaged(results: Results, side: Sequence[Several], codes: list[str] | None) -> _Averaged:
    found = [[counts(results, one, codes) for one in _members(system)] for system in side]
    every = [one for members in found for one in members]
    first = every[0]
    for one in every:
        if (one.names, one.words, one.languages) != (first.names, first.words, first.languages):
            raise SecateurError(
                f"{results.root / one.files.split()[0]}: not the utterances of the other seeds; delete the older "
                "one and run again"
            )
    errors, spelled = (
        np.array([np.mean([getattr(one, name) for one in members], axis=0) for members in found])
        for name in ("errors", "character_errors")
    )
    files = " ".join(dict.fromkeys(file for one in every for file in one.files.split()))
    facts = (first.names, first.words, first.characters, first.languages, first.speakers)
    return _Averaged(errors, spelled, *facts, files)
