"""Which systems are no worse than the dense model: each against it, on dev to choose by and on test to show.

The dense model is the one that most systems were made from, by the search that most are decoded with; of the others,
those count that serve the same languages by the same search.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from secateur.overview.candidates import KINDS, Candidate, candidates
from secateur.overview.study import dense_of
from secateur.reporting import compared, views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.rates import rate
from secateur.reporting.results import Results
from secateur.statistics.verdicts import SUPPORTED
from secateur.study.margins import SYSTEMS, margins
from secateur.study.runs import splits

AXES = ("corpus", "search", "reference", "kind", "system", "split")
COLUMNS = (*AXES, *compared.COLUMNS, "margin", "verdict", "source")
"""A is the system, B the dense model."""
NOTE = (
    "Each system against {reference}, from which most were made, by the same search: points more than its word error "
    "rate, with a 95 % interval. No worse: the interval lies below the margin of {margin} (claims.margin), after "
    "Holm's correction over all systems here. Detectable: the smallest true difference that this test set and these "
    "seeds show with a probability of 80 %. Those that are no worse on dev are what the cards at the top choose from."
)
SHOWN = {SUPPORTED: "yes", "not supported": "worse"}

Sides = Mapping[int, Candidate]
"""A system by seed."""


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per system and split."""
    margin, pairs = compared.margin_of(results.config), list(_pairs(results))
    judged = compared.no_worse([one for _, one in pairs], margin, margins(results.config).level, SYSTEMS)
    for (axes, one), verdict in zip(pairs, judged, strict=True):
        yield axes | compared.columns(one) | {"margin": str(margin), "verdict": verdict, "source": one.files}


def _pairs(results: Results) -> Iterator[tuple[dict[str, Any], compared.Compared]]:
    """Every system on every split: the columns `AXES`, and the comparison."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates(results):
        groups.setdefault(candidate.run.corpus, []).append(candidate)
    for corpus, members in groups.items():
        every = splits(results.config, corpus)
        found = _alike(members)
        name = _reference(found)
        if not name:
            continue
        dense = found.pop(name)
        for system, sides in found.items():
            first = next(iter(sides.values()))
            axes = {"corpus": corpus, "search": first.search, "reference": name, "kind": first.kind, "system": system}
            for split in every:
                yield axes | {"split": split}, _compared(results, sides, dense, split)


def _alike(members: Sequence[Candidate]) -> dict[str, Sides]:
    """The systems of the search that most are decoded with, that serve the most languages, by name and seed."""
    search = Counter(candidate.search for candidate in members).most_common(1)[0][0]
    mine = [candidate for candidate in members if candidate.search == search]
    languages = max((set(candidate.languages) for candidate in mine), key=len)
    found: dict[str, dict[int, Candidate]] = {}
    for candidate in mine:
        if set(candidate.languages) == languages:
            found.setdefault(candidate.name, {})[candidate.run.seed] = candidate
    return found


def _reference(found: Mapping[str, Sides]) -> str:
    """The dense model that most systems were made from; the first of several."""
    runs = {name: next(iter(sides.values())).run for name, sides in found.items()}
    sources = Counter(dense_of(run).model for run in runs.values())
    dense = [name for name, run in runs.items() if run.method == "dense" and not _part(found[name])]
    return max(dense, key=lambda name: sources[runs[name].model], default="")


def _part(sides: Sides) -> str:
    return next(iter(sides.values())).sub_model


def _compared(results: Results, mine: Sides, other: Sides, split: str) -> compared.Compared:
    seeds = [seed for seed in mine if seed in other]
    sides = [[side[seed].systems[split] for seed in seeds] for side in (mine, other)]
    return compared.compared(results, *sides, sorted(mine[seeds[0]].languages))


def view(tables: views.Tables) -> list[Grid]:
    """By corpus: a line a system, and for each split its errors, how many more they are, and the verdict."""
    grids = []
    for corpus, members in views.by_corpus(tables["no_worse"]).items():
        ordered = sorted(members, key=lambda row: KINDS.index(row["kind"]))
        named = rate(tables, corpus)
        several = len({row["split"] for row in members}) > 1

        def cells(row: Row, several: bool = several, named: Any = named) -> Iterator[tuple[str, Cell]]:
            split = f", {row['split']}" if several else ""
            yield f"No worse{split}", Cell(text=SHOWN.get(row["verdict"], "undecided"))
            yield named(f"WER{split}"), measure(row, "wer_a", 1)
            yield f"More{split}", measure(row, "difference", 1, interval=True)
            yield f"Detectable{split}", measure(row, "detectable", 1)
            yield f"CER, more{split}", measure(row, "cer_difference", 1, interval=True)

        title = f"Which systems are no worse than the dense one? {views.named(tables, corpus)}"
        grid = pivot(title, ordered, ("kind", "system", "search"), cells, keep=("kind", "system"))
        first = members[0]
        said = named(NOTE.format(reference=f"{first['reference']} ({first['search']})", margin=first["margin"]))
        caption = " ".join((said, *compared.limits(members), views.speech(tables, corpus)))
        grids.append(replace(grid, caption=caption))
    return grids
