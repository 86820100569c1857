"""Head pruning: error rates, time and cost by importance, policy and share, and of combinations with fewer layers.

Times are those of the model's family (`secateur.study.timing`), where all systems took turns on the same utterances of
the dev sets; error rates are of the test sets. What the reference takes when it is timed again has a row of policy A/A.
A model that was trained on takes the time of the one that it began with, whose shape it has; ratios are paired: both
systems on the same utterances. Searches whose time alone is measured have rows of language `avg` without error rates.
Which differences are real, over seeds, is in `secateur.heads.verdicts`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from secateur.decoding.timing import AGAIN
from secateur.heads import study as heads
from secateur.heads.measured import RATIO, SOUND, TIMES, Times
from secateur.heads.policies import plain
from secateur.heads.study import (
    DEPTH,
    RECOVERED,
    THEN,
    HeadsDecoding,
    combined,
    heads_step,
    recovery_of,
    smaller_run,
    system_name,
)
from secateur.layers.tables import averaged
from secateur.reporting import views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.rates import rate
from secateur.reporting.results import SIZES_FILE, Results
from secateur.reporting.systems import AVERAGE, RATES, System, scored
from secateur.reporting.times import soundness
from secateur.study.runs import Decoding, ModelRun, languages, reported_splits

WHOLE = "whole"
PLACE = ("split", "language", "search")
COSTS = ("parameters", "macs_per_second", "bytes", "peak_memory")
AXES = ("corpus", "model", "seed", "importance", "policy", "share", "heads_removed", "recovery")
COLUMNS = (*AXES, *PLACE, *RATES, *COSTS, *TIMES, *RATIO, *SOUND, "order_doubt", "source")
IMPORTANCE_COLUMNS = ("corpus", "model", "seed", "block", "layer", "head", "importance", "value", "source")
CORRELATION = ("rank_correlation", "rank_correlation_low", "rank_correlation_high")
STABILITY_COLUMNS = (
    *("corpus", "model", "seed", "importance", "utterances", "by_language", *CORRELATION),
    *("share", "k", "same", "overlap", "source"),
)
COMBINED_COLUMNS = (
    *("corpus", "model", "seed", "removed", "depth", "share", "policy", "recovery"),
    *(*PLACE, *RATES, *COSTS, *TIMES, *RATIO, *SOUND, "source"),
)
AGAINST = plain()
ORDERS = ("layers", "heads", "layers, then heads", "heads, then layers")
"""What `secateur.study.runs.combined` removes, in its order."""


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per system in every language, and as language `avg` their mean; the first is the whole model."""
    for entry, run in heads.runs(results.config):
        times, source, first = Times(results, run), heads.removals_file(run), run.seed == results.config["seeds"][0]
        content = results.json(source, "systems", "sets", "whole", "doubts")
        for split in reported_splits(results.config, run.corpus):
            for search in searches_of(entry):
                name = system_name(heads.WHOLE, search)
                for system, axes, part in _systems(results, entry, run, content, split, search):
                    cost = content["sets"][part] if part else content["whole"]
                    facts = {column: cost[column] for column in COSTS}
                    facts |= times.columns(name, part)
                    facts["order_doubt"] = content["doubts"].get(axes["policy"], "")
                    for language, values in _rated(results, entry, search, system):
                        place = (split, language, search)
                        yield _row(COLUMNS, run, axes | facts, place, values, source, times)
                if again := times.again(search) if first else {}:
                    place = (split, mean_language(results, run), search)
                    yield _row(COLUMNS, run, _again("policy") | {"share": 0.0} | again, place, {}, "", times)


def mean_language(results: Results, run: ModelRun) -> str:
    """What the rows of a model's mean over languages have for a language: of one language, its own."""
    codes = languages(results.config, run.corpus, run.scope)
    return AVERAGE if len(codes) > 1 else codes[0]


def _again(axis: str) -> dict[str, Any]:
    """What a row about the reference's second time is called."""
    return {axis: AGAIN, "recovery": False}


def searches_of(entry: Mapping[str, Any]) -> list[str]:
    """The searches of an entry, those that are decoded with first."""
    return list(dict.fromkeys([*entry["searches"], *entry["latency"]["searches"]]))


def _rated(
    results: Results, entry: Mapping[str, Any], search: str, system: System
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Error rates as `scored` gives them; of a search whose time alone is measured, nothing, as the mean."""
    if search in entry["searches"]:
        yield from scored(results, system)
    else:
        codes = list(system.decodings)
        yield AVERAGE if len(codes) > 1 else codes[0], {}


def _systems(
    results: Results, entry: Mapping[str, Any], run: ModelRun, content: Mapping[str, Any], split: str, search: str
) -> Iterator[tuple[System, dict[str, Any], str]]:
    """Every system, its axes, and the set of heads that it lacks."""
    nothing = {"importance": "", "policy": WHOLE, "share": 0.0, "heads_removed": 0, "recovery": False}
    yield _system(results, run, split, search), nothing, ""
    codes = languages(results.config, run.corpus, run.scope)
    parts = {code: HeadsDecoding(run, split, code, search) for code in codes}
    for found in content["systems"]:
        axes = {axis: found[axis] for axis in ("importance", "policy", "share", "heads_removed")}
        yield System(parts, found["set"]), axes | {"recovery": False}, found["set"]
    recovery = recovery_of(entry)
    for found in content["systems"]:
        first = found["importance"] == entry["importances"][0]
        if first and recovery and recovery.of(found["policy"], found["share"]):
            other = smaller_run(entry, heads_step(found["policy"], found["share"]) + RECOVERED, run.seed)
            axes = {axis: found[axis] for axis in ("importance", "policy", "share", "heads_removed")}
            yield _system(results, other, split, search), axes | {"recovery": True}, found["set"]


def _system(results: Results, run: ModelRun, split: str, search: str) -> System:
    codes = languages(results.config, run.corpus, run.scope)
    return System({code: Decoding(run, split, code, search) for code in codes})


def _row(
    columns: Sequence[str],
    run: ModelRun,
    facts: Mapping[str, Any],
    place: tuple[str, str, str],
    values: Mapping[str, Any],
    source: str,
    times: Times,
) -> dict[str, Any]:
    """A row with these columns; its sources are the scores, the costs and, if it was timed, the times."""
    sources = [values.get("source"), source, times.source if "ratio" in facts else None]
    row = {"corpus": run.corpus, "model": run.model, "seed": run.seed, **facts, **dict(zip(PLACE, place, strict=True))}
    row |= {**values, "source": " ".join(filter(None, sources))}
    return {column: row.get(column) for column in columns}


def importances(results: Results) -> Iterator[dict[str, Any]]:
    """Every importance of every head."""
    for _, run in heads.runs(results.config):
        source = heads.importance_file(run)
        axes = {"corpus": run.corpus, "model": run.model, "seed": run.seed, "source": source}
        for row in results.tsv(source, "block", "layer", "head", "importance", "value"):
            yield axes | row


def stabilities(results: Results) -> Iterator[dict[str, Any]]:
    """How far the order of heads by each importance can be trusted, by the share that goes first."""
    for entry, run in heads.runs(results.config):
        source = heads.stability_file(run)
        content = results.json(source, "utterances", "shares", "importances")
        counts = ", ".join(f"{code} {count}" for code, count in content["utterances"].items())
        facts = {"corpus": run.corpus, "model": run.model, "seed": run.seed, "source": source}
        facts |= {"utterances": sum(content["utterances"].values()), "by_language": counts}
        for importance, found in content["importances"].items():
            if importance in entry["importances"]:
                for share, first in zip(content["shares"], found["first"], strict=True):
                    facts |= {name: found[name] for name in CORRELATION}
                    yield facts | {"importance": importance, "share": share} | first


def combinations(results: Results) -> Iterator[dict[str, Any]]:
    """Fewer layers and fewer heads, alone, in both orders, and trained on; the first row is the whole model."""
    for entry, run in heads.runs(results.config):
        if not (chosen := entry["combine"]):
            continue
        times, first = Times(results, run), entry["latency"]["searches"][0]
        suffixes = ("", RECOVERED) if chosen["recovery"] else ("",)
        models = [(WHOLE, run, "")]
        models += [
            (order, smaller_run(entry, method + suffix, run.seed), method)
            for suffix in suffixes
            for order, method in zip(ORDERS, combined(entry), strict=True)
        ]
        for split in reported_splits(results.config, run.corpus):
            for search in entry["searches"]:
                for removed, model, method in models:
                    steps = method.split(THEN)
                    cut, pruned = (any(step.startswith(kind) for step in steps) for kind in (DEPTH, "heads-"))
                    axes = {
                        "removed": removed,
                        "depth": chosen["depth"] if cut else None,
                        "share": chosen["share"] if pruned else None,
                        "policy": chosen["policy"] if pruned else "",
                        "recovery": heads.trained_on(model),
                    }
                    facts = {column: results.size(model, *COSTS)[column] for column in COSTS}
                    if search == first:
                        facts |= times.columns(system_name(method or heads.WHOLE, search))
                    for language, values in scored(results, _system(results, model, split, search)):
                        place = (split, language, search)
                        yield _row(COMBINED_COLUMNS, run, axes | facts, place, values, SIZES_FILE, times)
                if search == first and run.seed == results.config["seeds"][0]:
                    facts = _again("removed") | times.again(search)
                    place = (split, mean_language(results, run), search)
                    yield _row(COMBINED_COLUMNS, run, facts, place, {}, "", times)


# --- for reading


TIMED = (
    "Utterances of the dev sets of all languages, one at a time; all systems take turns, and the median over rounds "
    "counts. In brackets: 95 % interval over rounds and utterances."
)
PAIRED = "Both on the same utterances. In brackets: 95 % interval over rounds and utterances."


def view(tables: views.Tables) -> list[Grid]:
    """By model and search: error rates, time and cost, one line a policy and one column a share."""
    grids = []
    for (corpus, model, search), members in blocks(tables["heads"]).items():
        chosen, where = averaged(members), f"{model}, {search}, {views.named(tables, corpus)}"
        about = views.about(tables, corpus, chosen, named(tables, model))
        whole = [row for row in chosen if row["policy"] == WHOLE]
        policies = [row for row in chosen if row["policy"] != WHOLE]
        sound = soundness(members)
        alone = [row for row in policies if row["recovery"] == "false" and row["policy"] != AGAIN]
        scores = [row for row in policies if row["wer"]]
        timed = [row for row in policies if row["recovery"] == "false" and row["total_s"]]
        doubts = dict.fromkeys(
            f"The order of {row['policy']} rests on times that are not to be relied on: {row['order_doubt']}."
            for row in members
            if row["order_doubt"]
        )
        note = f"Mean over languages. {views.INTERVALS}"
        for title, lines, column, digits, scale, text in (
            (rate(tables, corpus)("Word error rate (%)"), scores, "wer", 1, 1.0, note),
            ("Character error rate (%)", scores, "cer", 1, 1.0, note),
            ("Milliseconds an utterance", timed, "total_s", None, 1000.0, f"{TIMED} {sound}"),
            ("Time over that of the whole model", timed, "ratio", 2, 1.0, f"{PAIRED} {sound}"),
            ("Millions of parameters", alone if scores else [], "parameters", 2, 1e-6, ""),
            ("MMAC of the encoder a second", alone if scores else [], "macs_per_second", 2, 1e-6, ""),
        ):
            if lines:
                grid = _by_share(f"{title} by share of heads: {where}", whole, lines, column, digits, scale)
                parts = ("By share of the heads removed.", text, *doubts, about)
                grids.append(replace(grid, caption=" ".join(part for part in parts if part)))
    return grids


def _by_share(
    title: str, whole: Sequence[Row], lines: Sequence[Row], column: str, digits: int | None, scale: float
) -> Grid:
    """One column of a table, pivoted; the whole model stands at 0 in every line but of models that were trained on."""

    def cells(row: Row) -> list[tuple[str, Cell]]:
        return [(f"{100 * float(row['share']):g} %", measure(row, column, digits, scale, interval=True))]

    everywhere = [
        one | {axis: line[axis] for axis in ("importance", "policy", "recovery")}
        for line in _lines(lines)
        for one in whole
        if line["policy"] != AGAIN and one["split"] == line["split"] and line["recovery"] == "false"
    ]
    ordered = sorted([*everywhere, *lines], key=lambda row: float(row["share"]))
    return pivot(title, ordered, ("importance", "policy", "recovery", "split"), cells, keep=("policy",))


def _lines(rows: Sequence[Row]) -> list[Row]:
    """One row of every line of a table by share."""
    found = {tuple(row[axis] for axis in ("importance", "policy", "recovery", "split")): row for row in rows}
    return list(found.values())


def stability_view(tables: views.Tables) -> list[Grid]:
    """By model: one line an importance, with what is the same on other utterances, by share."""
    grids = []
    for (corpus, model), members in views.grouped(tables["importance_stability"], "corpus", "model").items():
        first = members[0]["share"]  # the correlation is of all heads, and in the rows of all shares

        def cells(row: Row, first: str = first) -> list[tuple[str, Cell]]:
            share = f"{100 * float(row['share']):g} %"
            whole = [("Rank correlation", measure(row, "rank_correlation", 2, interval=True))]
            return [
                *(whole if row["share"] == first else []),
                (f"Same first {share}", measure(row, "same", 2)),
                (f"In common of {share}", measure(row, "overlap", 2)),
            ]

        title = f"How stable is the order of heads? {model}, {views.named(tables, corpus)}"
        grid = pivot(title, members, ("importance", "by_language", "seed"), cells, keep=("importance", "by_language"))
        note = (
            "Importances were estimated on so many utterances of the dev sets. The same order on utterances drawn from "
            "these with replacement, 1000 times: its rank correlation (Spearman) with the one that was used, mean and "
            "middle 95 %; how often just the same heads go first, and the mean share of them that do."
        )
        grids.append(replace(grid, caption=f"{note} {views.speech(tables, corpus)}"))
    return grids


def combined_view(tables: views.Tables) -> list[Grid]:
    """By model and search: one line for every way to remove layers and heads."""
    grids = []
    for (corpus, model, search), members in blocks(tables["combined"]).items():
        chosen, wer = averaged(members), rate(tables, corpus)("WER")

        def cells(row: Row, wer: str = wer) -> list[tuple[str, Cell]]:
            return [
                ("Layers", Cell(text=row["depth"] or "all")),
                ("Heads removed", Cell(text=f"{100 * float(row['share']):g} %" if row["share"] else "0")),
                (f"{wer} (%)", measure(row, "wer", 1, interval=True)),
                ("CER (%)", measure(row, "cer", 1)),
                ("Parameters (M)", measure(row, "parameters", 2, 1e-6)),
                ("MMAC a second", measure(row, "macs_per_second", 2, 1e-6)),
                ("ms an utterance", measure(row, "total_s", None, 1000, True)),
                ("Time, ratio", measure(row, "ratio", 2, interval=True)),
            ]

        title = f"Fewer layers and fewer heads: {model}, {search}, {views.named(tables, corpus)}"
        grid = pivot(title, chosen, ("removed", "recovery", "split"), cells, keep=("removed", "recovery"))
        note = (
            "What comes later is chosen anew for what is left: heads by an importance estimated on the model of fewer "
            "layers, layers by a search with the heads gone. The time of a model that was trained on is that of the "
            f"same model before. {views.INTERVALS} {soundness(members)}"
        )
        grids.append(replace(grid, caption=f"{note} {views.about(tables, corpus, chosen, named(tables, model))}"))
    return grids


def named(tables: views.Tables, model: str) -> set[str]:
    """A model, and those of its heads and layers pruned that were trained on, as tables name them."""
    methods = {run["method"] for run in tables["runs"] if run["model"] == model and run["method"].endswith(RECOVERED)}
    return {model, *(f"{model}/{method}" for method in methods)}


def blocks(rows: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    """Rows by corpus, model and search."""
    return views.grouped(rows, "corpus", "model", "search")
