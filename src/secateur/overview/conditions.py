"""What pruning costs under a condition (`conditions`: noise, a room, a telephone …) and on the speech it is made of.

Pruned models are made and chosen on clean speech. Where speech is hard, they may lose more than it showed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from secateur.core.errors import SecateurError
from secateur.overview.candidates import from_dense, name_of
from secateur.overview.comparisons import System as Family
from secateur.overview.comparisons import systems
from secateur.overview.systems import AXES, axes_of
from secateur.pruning.evidence import DENSE, arenas
from secateur.pruning.methods import EACH
from secateur.reporting import evidence, views
from secateur.reporting.claims import Claim, Finding, Missing, Part
from secateur.reporting.compared import covered, number
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.rates import rate
from secateur.reporting.results import Results
from secateur.reporting.systems import Counted, System, counts
from secateur.statistics.estimates import Estimate, TestSet, difference, error_rate, over_seeds
from secateur.study.runs import Decoding, asked
from secateur.study.runs import splits as splits_of

COSTS = ("cost", "cost_clean", "extra", "extra_low", "extra_high", "detectable")
SPELLED = ("cer", "cer_clean", "dense_cer", "dense_cer_clean", "cer_extra", "cer_extra_low", "cer_extra_high")
COLUMNS = (
    *(*AXES, "condition", "of", "against", "wer", "wer_clean", "dense_wer", "dense_wer_clean", *COSTS, *SPELLED),
    *("utterances", "source"),
)


@dataclass(frozen=True)
class Four:
    """A system and the dense model, under a condition and on what it is made of: on the same utterances, in order.

    `paired`: whether those of the condition are those without it; of another corpus they are not.
    """

    mine: Counted
    mine_clean: Counted
    dense: Counted
    dense_clean: Counted
    paired: bool = True

    def __post_init__(self) -> None:
        pairs = [(self.mine, self.dense), (self.mine_clean, self.dense_clean)]
        for one, other in [*pairs, *([(self.mine, self.mine_clean)] if self.paired else [])]:
            if (other.names, other.words) != (one.names, one.words):
                raise SecateurError(f"{other.files} is not about the utterances of {one.files}; decode again")

    @property
    def files(self) -> str:
        parts = (self.mine, self.mine_clean, self.dense, self.dense_clean)
        return " ".join(dict.fromkeys(" ".join(part.files for part in parts).split()))

    @property
    def spelled(self) -> "Four":
        """The same, counted in characters."""
        parts = (self.mine, self.mine_clean, self.dense, self.dense_clean)
        return Four(*(replace(one, errors=one.character_errors, words=one.characters) for one in parts), self.paired)

    @property
    def test(self) -> TestSet:
        return _test(self.mine)

    @property
    def clean(self) -> TestSet:
        """The utterances without the condition."""
        return _test(self.mine_clean)


def _test(found: Counted) -> TestSet:
    return TestSet(found.words, found.languages, found.speakers)


def four(results: Results, entry: Mapping[str, Any], mine: Sequence[System], dense: Sequence[System]) -> Four:
    """`mine` and `dense` under a condition, first, and without it, in the languages of `mine`."""
    found = (counts(results, system, mine[0].decodings) for system in (*mine, *dense))
    return Four(*found, paired="corpus" not in entry)


def extra(found: Sequence[Four]) -> Estimate:
    """How many points more pruning costs under a condition than without it, by seed.

    That is (mine − dense) under the condition minus (mine − dense) without it. Errors are counts over the same words,
    so it is also the difference of the sums over the diagonals, which is how it is computed, paired by utterance. On
    other utterances each cost is paired by itself, and their variances over utterances add up.
    """
    if not found[0].paired:
        costs = [_costs(one) for one in found]
        more = [float(hard.value - easy.value) for hard, easy in costs]
        items = [float(np.hypot(hard.se, easy.se)) for hard, easy in costs]
        return over_seeds(more, items, sum(cost.utterances for cost in costs[0]))
    sums = [
        (np.add(one.mine.errors, one.dense_clean.errors), np.add(one.dense.errors, one.mine_clean.errors))
        for one in found
    ]
    return difference(*(np.stack(side) for side in zip(*sums, strict=True)), found[0].test)


def _costs(one: Four) -> tuple[Estimate, Estimate]:
    """What pruning costs under a condition, and without it, of one seed."""
    hard = difference(np.array(one.mine.errors), np.array(one.dense.errors), one.test)
    return hard, difference(np.array(one.mine_clean.errors), np.array(one.dense_clean.errors), one.clean)


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per condition, seed and system that was made from a dense one."""
    conditions, known = results.config.get("conditions", {}), systems(results.config)
    for candidate, run in from_dense(results) if conditions else ():
        for name, entry in conditions.items():
            splits = (name, entry["of"])
            if not all(split in candidate.systems for split in splits):
                continue
            dense = [System(known.get(Family(run, split, candidate.search), {})) for split in splits]
            mine = [candidate.systems[split] for split in splits]
            if not mine[0].decodings.keys() <= dense[0].decodings.keys():
                continue
            found = four(results, entry, mine, dense)
            place = {"condition": name, "of": entry["of"], "against": name_of(run)}
            yield axes_of(results, candidate) | place | _numbers(found)


def claimed(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """Of every entry of `prune`, its sparsest models by the first of its `methods`, under every condition."""
    conditions = results.config.get("conditions", {})
    if not conditions:
        yield Missing("the study has no `conditions`")
    for arena in arenas(results, EACH):
        search, method = arena.entry["searches"][0], next(iter(arena.entry["methods"]), "")
        for name, entry in conditions.items() if method else ():
            splits, known = (name, entry["of"]), splits_of(results.config, arena.entry["corpus"], narrow=True)
            heard = [code for code in arena.codes if asked(results.config, name, code, search)]
            there = heard and set(splits) <= set(known)
            if not there or not (arena.systems(method) and arena.systems(DENSE)):
                yield Missing(f"the study does not decode {method} and the dense model on {' and '.join(splits)}")
                continue
            sides = [
                [
                    [System({code: Decoding(each[code], split, code, search) for code in heard}) for split in splits]
                    for each in arena.runs(one)
                ]
                for one in (method, DENSE)
            ]
            found = [four(results, entry, mine, dense) for mine, dense in zip(*sides, strict=True)]
            more, tests = extra(found), (found[0].test, found[0].clean)
            over = covered(len(found), any(test.these_speakers for test in tests))
            files = " ".join(dict.fromkeys(" ".join(one.files for one in found).split()))
            said = f"{method} under {name} with {method} on {entry['of']}, each beside the dense model: {arena.name}"
            number, several = Part(evidence.ERRORS, more, above=0.0), (more.seeds, more.utterances)
            doubt, spelled = arena.doubt(method), extra([one.spelled for one in found])
            yield Finding(said, [number], files, *several, float(more.value), None, over, doubt, spelled)


def _numbers(found: Four) -> dict[str, Any]:
    spelled = found.spelled
    values = {
        f"{side}{unit}{condition}": error_rate(np.array(part.errors), _test(part)).value
        for unit, four in (("wer", found), ("cer", spelled))
        for side, condition, part in (
            *(("", "", four.mine), ("", "_clean", four.mine_clean)),
            *(("dense_", "", four.dense), ("dense_", "_clean", four.dense_clean)),
        )
    }
    values |= {"cost": values["wer"] - values["dense_wer"]}
    values |= {"cost_clean": values["wer_clean"] - values["dense_wer_clean"]}
    more, in_characters = extra([found]), extra([spelled])
    ends = {"extra": more.value, "extra_low": more.low, "extra_high": more.high, "detectable": more.detectable}
    ends |= {f"cer_extra{end}": getattr(in_characters, end.strip("_") or "value") for end in ("", "_low", "_high")}
    numbers = {name: number(value) for name, value in (values | ends).items()}
    return numbers | {"utterances": len(found.mine.names), "source": found.files}


# --- for reading


NOTE = (
    "Cost: errors per 100 words, of the system minus those of the dense model that it was made from, under the "
    "condition and on the speech that it is made of (clean). Extra: the one minus the other; above 0 pruning costs "
    "more under the condition. In brackets its 95 % interval, paired but on another corpus, over utterances, or "
    "speakers where there are ten; detectable: the smallest true extra that this test set shows with a probability of "
    "80 %."
)


def view(tables: views.Tables) -> list[Grid]:
    """By corpus: what pruning costs under each condition, beside what it costs without."""
    grids = []
    for corpus, members in views.by_corpus(tables["conditions"]).items():
        index = ("condition", "of", "system", "against", "search", "utterances")
        title = f"What pruning costs under other conditions, {views.named(tables, corpus)}"
        grid = pivot(title, members, index, _cells, keep=("condition", "system"))
        name = rate(tables, corpus)
        grid = replace(grid, header=[name(heading) for heading in grid.header])
        grids.append(replace(grid, caption=f"{name(NOTE)} {views.speech(tables, corpus)}"))
    return grids


def _cells(row: Row) -> Iterator[tuple[str, Cell]]:
    yield "WER, dense, clean", measure(row, "dense_wer_clean", 1)
    yield "WER, dense", measure(row, "dense_wer", 1)
    yield "WER", measure(row, "wer", 1)
    yield "Cost, clean", measure(row, "cost_clean", 1)
    yield "Cost", measure(row, "cost", 1)
    yield "Extra", measure(row, "extra", 1, interval=True)
    yield "Detectable", measure(row, "detectable", 1)
    yield "CER", measure(row, "cer", 1)
    yield "Extra, CER", measure(row, "cer_extra", 1, interval=True)
