"""What a study has on the claim about compositions: one of them against its parts alone, at equal bytes or time."""

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from statistics import fmean

from secateur.compose import study as compose
from secateur.overview.candidates import COMPOSED, DENSE, HEADLESS, MASKS, SHALLOWER, Candidate, candidates, costs
from secateur.overview.times import Times
from secateur.reporting import evidence
from secateur.reporting.claims import Claim, Finding, Missing
from secateur.reporting.compared import compared
from secateur.reporting.results import Results, main_split
from secateur.reporting.systems import rated
from secateur.study.runs import DEV

ALONE = (DENSE, MASKS, SHALLOWER, HEADLESS)
BYTES, TIME = "bytes", "rtf"
Group = Sequence[Candidate]
"""A system, of every seed."""


def beats_its_parts(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """Each composition of several sorts of removal, against the best system of one sort that is as small or as fast.

    The best is that with the fewest errors on dev, or on the test split where dev is not decoded.
    """
    column = claim.options["column"]
    groups = _groups(results) if results.config.get("compose") else {}
    times = Times(results)
    for mine in (group for group in groups.values() if _sorts(results, group[0]) > 1):
        first, cost = mine[0], _cost(results, times, mine, column)
        split = main_split(results.config, first.run.corpus)
        rivals = [
            group
            for group in groups.values()
            if (group[0].run.corpus, group[0].run.model, group[0].search)
            == (first.run.corpus, first.run.model, first.search)
            and len(group) == len(mine)
            and _sorts(results, group[0]) == 1
            and _cost(results, times, group, column) <= cost < inf
        ]
        if not rivals:
            yield Missing(f"{first.name}: no system of one sort of removal has as few {_called(column)}")
            continue
        best = min(rivals, key=lambda group: _errors(results, group, split))
        sides = [[one.systems[split] for one in group] for group in (mine, best)]
        found = compared(results, sides[0], sides[1])
        said = f"{first.name} with {best[0].name}, which has no more {_called(column)}: {first.run.corpus}"
        family = times.measured.family(first.run)
        doubt = family.doubt(first.search) if column == TIME else ""
        yield evidence.finding(said, found, [evidence.better(found)], doubt, family.source if column == TIME else "")


def _groups(results: Results) -> Mapping[tuple[str, str, str], Group]:
    """The systems of a study that may be compared, by corpus, name and search."""
    groups: dict[tuple[str, str, str], list[Candidate]] = {}
    for one in candidates(results):
        if one.kind == COMPOSED or (one.kind in ALONE and (one.sub_model or one.kind != DENSE)):
            groups.setdefault((one.run.corpus, one.name, one.search), []).append(one)
    return groups


def _sorts(results: Results, one: Candidate) -> int:
    """How many sorts of removal made a system; training between is none."""
    if one.kind != COMPOSED:
        return 1
    chain = compose.found(results.config, one.run)[1]
    return len({kind for step in chain if (kind := compose.kind_of(step)) != compose.RECOVER})


def _cost(results: Results, times: Times, group: Group, column: str) -> float:
    """The bytes of a system, mean over seeds, or its real-time factor; infinite where it was not timed."""
    if column == BYTES:
        return fmean(costs(results, one)[BYTES] for one in group)
    return times.of(group[0]).get(TIME) or inf


def _errors(results: Results, group: Group, split: str) -> float:
    """The word error rate that the choice of a rival goes by."""
    return fmean(rated(results, one.systems.get(DEV, one.systems[split]))["wer"] for one in group)


def _called(column: str) -> str:
    return "bytes" if column == BYTES else "seconds"
