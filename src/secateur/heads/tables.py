"""Head pruning: error rates, time and cost by importance, policy and share; locality; combinations with fewer layers.

Times are those of `{model}/heads/latency/latency.tsv`, where all systems took turns on the same utterances of the dev
sets; error rates are of the test sets. A model that was trained on takes the time of the one that it began with, whose
shape it has. Differences and ratios are paired: both systems on the same utterances. Searches whose time alone is
measured have rows of language `avg` without error rates.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from secateur.decoding.timing import relative_time
from secateur.heads import study as heads
from secateur.heads.measured import RATIO, TIMES, Times
from secateur.heads.policies import plain
from secateur.heads.study import (
    DEPTH,
    RECOVERED,
    THEN,
    HeadsDecoding,
    combined,
    heads_step,
    smaller_run,
    system_name,
)
from secateur.layers.tables import averaged
from secateur.reporting import views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.rates import rate
from secateur.reporting.results import SIZES_FILE, Results
from secateur.reporting.systems import AVERAGE, DIFFERENCE, RATES, System, scored
from secateur.study.runs import Decoding, ModelRun, languages, splits

WHOLE = "whole"
PLACE = ("split", "language", "search")
COSTS = ("parameters", "macs_per_second", "bytes", "peak_memory")
AXES = ("corpus", "model", "seed", "importance", "policy", "share", "heads_removed", "recovery")
COLUMNS = (*AXES, *PLACE, *RATES, *DIFFERENCE, *COSTS, *TIMES, *RATIO, "source")
IMPORTANCE_COLUMNS = ("corpus", "model", "seed", "block", "layer", "head", "importance", "value", "source")
COMBINED_COLUMNS = (
    *("corpus", "model", "seed", "removed", "depth", "share", "policy", "recovery"),
    *(*PLACE, *RATES, *DIFFERENCE, *COSTS, *TIMES, *RATIO, "source"),
)
LOCALITY_COLUMNS = (
    *("corpus", "model", "seed", "importance", "policy", "against", "share", *PLACE),
    *(*RATIO, "time", *DIFFERENCE, "errors", "source"),
)
AGAINST = plain()
UNDECIDED = "undecided"
ORDERS = ("layers", "heads", "layers, then heads", "heads, then layers")
"""What `secateur.study.runs.combined` removes, in its order."""


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per system in every language, and as language `avg` their mean; the first is the whole model."""
    for entry, run in heads.runs(results.config):
        times, source = Times(results, run), heads.removals_file(run)
        content = results.json(source, "systems", "sets", "whole")
        for split in splits(results.config, run.corpus):
            for search in _searches(entry):
                name = system_name(heads.WHOLE, search)
                whole = _system(results, run, split, search)
                for system, axes, part in _systems(results, entry, run, content, split, search):
                    cost = content["sets"][part] if part else content["whole"]
                    facts = {column: cost[column] for column in COSTS}
                    facts |= times.columns(times.rows(name, part), times.rows(name))
                    for language, values in _rated(results, entry, search, system, whole if part else None):
                        place = (split, language, search)
                        yield _row(COLUMNS, run, axes | facts, place, values, source, times)


def _searches(entry: Mapping[str, Any]) -> list[str]:
    """The searches of an entry, those that are decoded with first."""
    return list(dict.fromkeys([*entry["searches"], *entry["latency"]["searches"]]))


def _rated(
    results: Results, entry: Mapping[str, Any], search: str, system: System, rival: System | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Error rates as `scored` gives them; of a search whose time alone is measured, nothing, as an average."""
    if search in entry["searches"]:
        yield from scored(results, system, rival)
    else:
        yield AVERAGE, {}


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
    recovery = entry["recovery"] or {"policies": [], "shares": []}
    for found in content["systems"]:
        first = found["importance"] == entry["importances"][0]
        if first and found["policy"] in recovery["policies"] and found["share"] in recovery["shares"]:
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


def locality(results: Results) -> Iterator[dict[str, Any]]:
    """Every other policy against `global`, at the same share by the same importance: time and errors, and verdicts."""
    for entry, run in heads.runs(results.config):
        times, importance = Times(results, run), entry["importances"][0]
        found = {
            (row["policy"], row["share"]): row["set"]
            for row in results.json(heads.removals_file(run), "systems")["systems"]
            if row["importance"] == importance
        }
        codes = languages(results.config, run.corpus, run.scope)
        for split in splits(results.config, run.corpus):
            for search in _searches(entry):
                decodings = {code: HeadsDecoding(run, split, code, search) for code in codes}
                name = system_name(heads.WHOLE, search)
                for (policy, share), part in found.items():
                    rival = found.get((AGAINST, share))
                    if policy == AGAINST or rival in (None, part):
                        continue
                    mine, theirs = times.rows(name, part), times.rows(name, rival)
                    facts: dict[str, Any] = {}
                    if mine:
                        facts = dict(zip(RATIO, relative_time(mine, theirs), strict=True))
                        facts["time"] = sign(facts["ratio_low"] - 1, facts["ratio_high"] - 1, "faster", "slower")
                    systems = System(decodings, part), System(decodings, rival)
                    for language, values in _rated(results, entry, search, *systems):
                        axes = {"importance": importance, "policy": policy, "against": AGAINST, "share": share}
                        if values:
                            values["errors"] = sign(
                                values["difference_low"], values["difference_high"], "fewer", "more"
                            )
                        place, source = (split, language, search), heads.removals_file(run)
                        yield _row(LOCALITY_COLUMNS, run, axes | facts, place, values, source, times)


def sign(low: float, high: float, below: str, above: str) -> str:
    """What the interval from `low` to `high` says: all of it below 0, all above, or neither."""
    return below if high < 0 else above if low > 0 else UNDECIDED


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
        for split in splits(results.config, run.corpus):
            for search in entry["searches"]:
                whole = _system(results, run, split, search)
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
                        timed = times.rows(system_name(method or heads.WHOLE, search))
                        facts |= times.columns(timed, times.rows(system_name(heads.WHOLE, search)))
                    system = whole if removed == WHOLE else _system(results, model, split, search)
                    for language, values in scored(results, system, None if system is whole else whole):
                        place = (split, language, search)
                        yield _row(COMBINED_COLUMNS, run, axes | facts, place, values, SIZES_FILE, times)


# --- for reading


TIMED = (
    "Utterances of the dev sets of all languages, one at a time; all systems take turns, and the median over the turns "
    "counts. In brackets: 95 % bootstrap interval over utterances."
)
PAIRED = "Both on the same utterances. In brackets: 95 % bootstrap interval over utterances."


def view(tables: views.Tables) -> list[Grid]:
    """By model and search: error rates, time and cost, one line a policy and one column a share."""
    grids = []
    for (corpus, model, search), members in blocks(tables["heads"]).items():
        chosen, where = averaged(members), f"{model}, {search}, {views.named(tables, corpus)}"
        about = views.about(tables, corpus, chosen, named(tables, model))
        whole = [row for row in chosen if row["policy"] == WHOLE]
        policies = [row for row in chosen if row["policy"] != WHOLE]
        alone = [row for row in policies if row["recovery"] == "false"]
        scores = [row for row in policies if row["wer"]]
        timed = [row for row in alone if row["total_s"]]
        note = f"Mean over languages. {views.INTERVALS}"
        for title, lines, column, digits, scale, text in (
            (rate(tables, corpus)("Word error rate (%)"), scores, "wer", 1, 1.0, note),
            ("Milliseconds an utterance", timed, "total_s", None, 1000.0, TIMED),
            ("Time over that of the whole model", timed, "ratio", 2, 1.0, PAIRED),
            ("Millions of parameters", alone if scores else [], "parameters", 2, 1e-6, ""),
            ("MMAC of the encoder a second", alone if scores else [], "macs_per_second", 2, 1e-6, ""),
        ):
            if lines:
                grid = _by_share(f"{title} by share of heads: {where}", whole, lines, column, digits, scale)
                parts = ("By share of the heads removed.", text, about)
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
        if one["split"] == line["split"] and line["recovery"] == "false"
    ]
    ordered = sorted([*everywhere, *lines], key=lambda row: float(row["share"]))
    return pivot(title, ordered, ("importance", "policy", "recovery", "split"), cells, keep=("policy",))


def _lines(rows: Sequence[Row]) -> list[Row]:
    """One row of every line of a table by share."""
    found = {tuple(row[axis] for axis in ("importance", "policy", "recovery", "split")): row for row in rows}
    return list(found.values())


def locality_view(tables: views.Tables) -> list[Grid]:
    """By model and search: the policies against `global`, with what follows."""
    grids = []
    for (corpus, model, search), members in blocks(tables["locality"]).items():
        chosen, wer = averaged(members), rate(tables, corpus)("WER")

        def cells(row: Row, wer: str = wer) -> list[tuple[str, Cell]]:
            return [
                ("Time, ratio", measure(row, "ratio", 2, interval=True)),
                ("So", Cell(text=row["time"] or "–")),
                (f"{wer}, points", measure(row, "difference", 1, interval=True)),
                ("Errors", Cell(text=row["errors"] or "–")),
            ]

        title = f"Does locality pay? Policies against {AGAINST}: {model}, {search}, {views.named(tables, corpus)}"
        lines = [row | {"share": f"{100 * float(row['share']):g} %"} for row in chosen]
        grid = pivot(title, lines, ("policy", "share", "seed", "split"), cells, keep=("policy", "share"))
        text = " ".join(conclusion(policy, rows) for policy, rows in _by(chosen, "policy").items())
        note = (
            f"At the same share of heads, by the same importance. Time over that of {AGAINST}; word error rate minus "
            f"that of {AGAINST}, mean over languages. In brackets: 95 % intervals (paired bootstrap over utterances); "
            f"where they hold 1 or 0, the verdict is {UNDECIDED}."
        )
        text = rate(tables, corpus)(f"{text} {note}")
        grids.append(replace(grid, caption=f"{text} {views.about(tables, corpus, chosen, {model})}"))
    return grids


def conclusion(policy: str, rows: Sequence[Row]) -> str:
    """What the verdicts on a policy at all shares add up to, in a sentence with the widest interval of each."""
    timed = [row for row in rows if row["time"]]
    parts = []
    for what, column, members, unit in (
        ("time", "time", timed, ("ratio", 2, "times the time")),
        ("errors", "errors", [row for row in rows if row["errors"]], ("difference", 1, "points of WER")),
    ):
        if not members:
            continue
        counts = {verdict: sum(row[column] == verdict for row in members) for verdict in _order(what)}
        said = ", ".join(f"{verdict} at {count}" for verdict, count in counts.items() if count)
        value, digits, text = unit
        low = min(float(row[f"{value}_low"]) for row in members)
        high = max(float(row[f"{value}_high"]) for row in members)
        parts.append(
            f"{what} {said} of {len(members)} comparisons (between {low:.{digits}f} and {high:.{digits}f} {text})"
        )
    return f"{policy} against {AGAINST}: {'; '.join(parts)}."


def _order(what: str) -> tuple[str, ...]:
    return ("faster", "slower", UNDECIDED) if what == "time" else ("fewer", "more", UNDECIDED)


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
                ("Against the whole", measure(row, "difference", 1, interval=True)),
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
            f"same model before. Ratio and difference: paired. {views.INTERVALS}"
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


def _by(rows: Sequence[Row], axis: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[axis], []).append(row)
    return groups
