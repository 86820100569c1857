"""Sub-models against models trained alone, and late regularisers against the control, over all seeds.

A sub-model keeps the accuracy of the model that was trained alone at its depth if it makes at most a margin more errors
(`claims.margin`). Regularisers that come late are compared with as many steps of the same training without any.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from secateur.layers import study as layers
from secateur.layers.evidence import control_of, rivals, sub_models, trained_alone, whole_models
from secateur.reporting import compared, rates, views
from secateur.reporting.compared import margin_of
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.results import Results
from secateur.reporting.systems import AVERAGE, System
from secateur.study.margins import DEPTHS, margins
from secateur.study.runs import ModelRun, reported_splits

DEPTH, LATE, ONE = "depth", "late", "one thing"
WAYS = ("training", "rise", "flat")
"""What variants with the same regularisers may differ in; pairs that differ in one of them show what that does."""
DENSE = "dense"
COLUMNS = (
    *("question", "corpus", "model", "strategy", "depth", "a", "b", "split", "language", "search"),
    *(*compared.COLUMNS, "margin", "verdict", "source"),
)


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per comparison and language, and one of the mean, as language `avg`; first those of depths."""
    yield from _depths(results)
    yield from _late(results)


def _depths(results: Results) -> Iterator[dict[str, Any]]:
    margin, pairs = margin_of(results.config), list(_depth_pairs(results))
    judged = compared.no_worse([found for _, found in pairs], margin, margins(results.config).level, DEPTHS)
    for (axes, found), verdict in zip(pairs, judged, strict=True):
        yield axes | compared.columns(found) | {"margin": str(margin), "source": found.files, "verdict": verdict}


def _depth_pairs(results: Results) -> Iterator[tuple[dict[str, Any], compared.Compared]]:
    """Every sub-model and language, and its comparison with the rival of its depth."""
    for entry in results.config["layers"]:
        name = layers.name(layers.whole(entry, 0))
        for split in reported_splits(results.config, entry["corpus"]):
            for search in entry["searches"]:
                for strategy in entry["strategies"]:
                    for depth in (depth for depth in entry["depths"] if depth in entry["trained"]):
                        sides = (
                            sub_models(results, entry, strategy, depth, search, split),
                            trained_alone(results, entry, depth, search, split),
                        )
                        axes = {"question": DEPTH, "corpus": entry["corpus"], "model": name, "strategy": strategy}
                        axes |= {"depth": depth, "a": f"{name}, {strategy}, {depth} layers"}
                        rival = rivals(results, entry, depth)[0].model
                        axes |= {"b": rival, "split": split, "search": search}
                        for language, found in _by_language(results, *sides):
                            yield axes | {"language": language}, found


def _late(results: Results) -> Iterator[dict[str, Any]]:
    """Every variant against the control of its training, or, without one, against the model before, as controls are.

    Then pairs of variants that differ in one way of bringing the same regularisers in: rate × rise, for one.
    """
    for entry in results.config["regularise"]:
        pairs: list[tuple[str, str, str | None]] = []
        for variant in entry["variants"]:
            control = control_of(entry, variant)
            rival = None if control is None or variant in (control, control_of(entry)) else control["name"]
            pairs.append((LATE, variant["name"], rival))
        pairs += [(ONE, *names) for names in one_thing(entry)]
        for split in reported_splits(results.config, entry["corpus"]):
            for search in entry["searches"]:
                for question, name, rival in pairs:
                    mine = _models(results, entry, name, search, split)
                    other = _models(results, entry, rival, search, split)
                    if not mine or not other:
                        continue
                    axes = {"question": question, "corpus": entry["corpus"], "model": entry["model"]}
                    axes |= {"a": name, "b": rival or DENSE, "split": split, "search": search}
                    for language, found in _by_language(results, mine, other):
                        yield axes | {"language": language} | compared.columns(found) | {"source": found.files}


def one_thing(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs of variants, the later one first, with the same regularisers, that differ in one of `WAYS`."""
    for place, first in enumerate(entry["variants"]):
        for other in entry["variants"][place + 1 :]:
            same = all(first[key] == other[key] for key in ("intermediate_ctc", "stochastic_depth"))
            different = [key for key in WAYS if first.get(key) != other.get(key)]
            if same and len(different) == 1:
                yield other["name"], first["name"]


def _models(results: Results, entry: Mapping[str, Any], variant: str | None, search: str, split: str) -> list[System]:
    """A variant of an entry of `regularise`, or the model before, of every seed."""
    runs = [
        layers.late_run(entry, variant, seed) if variant else ModelRun(entry["corpus"], entry["model"], "all", seed)
        for seed in results.config["seeds"]
    ]
    return whole_models(results, runs, search, split)


def _by_language(
    results: Results, mine: Sequence[System], other: Sequence[System]
) -> Iterator[tuple[str, compared.Compared]]:
    codes = list(mine[0].decodings)
    for code in codes:
        yield code, compared.compared(results, mine, other, [code])
    if len(codes) > 1:
        yield AVERAGE, compared.compared(results, mine, other, codes)


def view(tables: views.Tables) -> list[Grid]:
    """By model and question: the mean over languages, with verdicts for depths."""
    grids = []
    groups = views.grouped(tables["layer_comparisons"], "question", "corpus", "model", "search")
    for (question, corpus, model, search), members in groups.items():
        named = rates.rate(tables, corpus)
        chosen = [row for row in members if row["language"] == AVERAGE] or members

        def cells(row: Row) -> list[tuple[str, Cell]]:
            numbers = [
                ("Difference", measure(row, "difference", 1, interval=True)),
                ("p", measure(row, "p_value", 4)),
                ("Detectable", measure(row, "detectable", 1)),
                ("Relative (%)", measure(row, "relative", 1, interval=True)),
                ("CER, points", measure(row, "cer_difference", 1, interval=True)),
            ]
            return numbers + ([("No worse?", Cell(text=row["verdict"]))] if row["verdict"] else [])

        where = f"{model}, {search}, {views.named(tables, corpus)}"
        if question == DEPTH:
            title = f"Does a sub-model keep the accuracy of a model trained alone at its depth? {where}"
            index = ("strategy", "depth", "a", "b", "seeds", "split")
            note = (
                "B was trained alone, with regularisers or without, by what does better on dev. "
                f"No worse: by at most {chosen[0]['margin']}. Supported: the whole interval says so; not supported: "
                "the whole interval says the opposite; after Holm's correction over all depths and languages."
            )
        elif question == ONE:
            title = f"Late regularisers that differ in one thing: {where}"
            index = ("a", "b", "seeds", "split")
            note = "Two ways to bring in the same regularisers: another training, a weight that rises, or a flat rate."
        else:
            title = f"Do regularisers that come late change the errors? {where}"
            index = ("a", "b", "seeds", "split")
            note = "Against the control: as many steps of the same training, with no regulariser."
        grid = pivot(title, chosen, index, cells, keep=("a", "b"))
        text = named("Word error rate of A minus that of B in percentage points, mean over languages; relative: in %.")
        grids.append(replace(grid, caption=f"{text} {note} {compared.note(chosen)} {views.speech(tables, corpus)}"))
    return grids
