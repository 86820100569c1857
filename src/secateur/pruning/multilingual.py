"""Tables 1 to 3 of the study of pruned multilingual models (S3): measured beside published, row by row.

A row stands for one model of all languages, or for the monolingual models together. It is there when the study has all
of its models.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from secateur.pruning import methods
from secateur.pruning import tables as pruning
from secateur.reporting import published, views
from secateur.reporting.grid import Cell, Grid, Row, combined, label, listing, measure
from secateur.reporting.rates import rate
from secateur.reporting.results import EACH, Results
from secateur.reporting.systems import AVERAGE, System, counted_files, rated
from secateur.study.graph import ancestors
from secateur.study.runs import Decoding, ModelRun, languages, model_runs, reported_splits, scope_of, steps

AXES = ("corpus", "base", "method", "scope", "sparsity_target", "split", "search", "seed")
COLUMNS = ("stage", "model", "initialization", "mask_changes", "most_changed", "sparsity", "stage_steps", "steps")
COLUMNS += ("training",)
NEVER = "never: not a test"
CHANGES = (
    "Mask changes: the largest share of a mask that any adaptation took up; where none did, the row is fixed masks by "
    "another name, and not a test of adaptation. Steps a language: those of each language in the training that made "
    "the row."
)
INTERVAL = ("", "_low", "_high")


@dataclass(frozen=True)
class Line:
    """One row: what the document calls it, and which models it is about.

    `key` names the published figures, `method` and `sparsity` the models (None: the last level of the schedule);
    `scope` is that of the method: `each`, `all`, or `some` for the languages of an entry of pathways.
    """

    stage: str
    model: str
    key: str
    method: str
    scope: str
    sparsity: float | None = None


def _line(key: str, stage: bool) -> Line:
    """The row of a pruned model, by its method."""
    parsed = methods.parse(key)
    method, shown = parsed.method, parsed.method.shown
    sparsity = parsed.level if method.levels == methods.MASKS else None
    return Line(shown.stage if stage else "", shown.row, key, key, method.scope, sparsity)


def _lines(figures: Mapping[str, Mapping[str, float]], unpublished: bool = False) -> tuple[Line, ...]:
    """The rows of table 1, 2 or 3 in the order of its published `figures`, and of methods that it does not have."""
    dense = [line for line in DENSE if line.key in figures]
    keys = [key for key in figures if key not in {line.key for line in dense}]
    if unpublished:
        found = methods.registry().values()
        keys += [one.name for one in found if one.shown.row and not one.from_masks and one.name not in keys]
    return (*dense, *(_line(key, stage=bool(dense)) for key in keys))


DENSE = (
    Line("ref", "small dense", "reference", "dense", methods.EACH, 0.0),
    Line("1", "dense", "dense", "dense", methods.ALL, 0.0),
)
TABLE1 = _lines(published.S3_TABLE1, unpublished=True)
TABLE2 = _lines(published.S3_TABLE2)
TABLE3 = _lines(published.S3_TABLE3)


def columns(codes: Sequence[str]) -> tuple[str, ...]:
    """The columns of a table whose languages are `codes`."""
    shown = (*codes, "avg")
    measured = [f"{code}{ending}" for code in shown for ending in (*INTERVAL, "_cer")]
    return (*AXES, *COLUMNS, *measured, *(f"published_{code}" for code in shown), "source")


def codes(config: Mapping[str, Any]) -> list[str]:
    """The languages of all corpora in which a model is pruned."""
    found = [code for entry in config["prune"] for code in config["corpora"][entry["corpus"]]["languages"]]
    return list(dict.fromkeys(found))


def rows(
    results: Results, lines: Sequence[Line], figures: Mapping[str, Mapping[str, float]], few: bool
) -> Iterator[Row]:
    """The rows of one table; `few` picks the pathways of some languages (table 2), else those of all."""
    seen = set()  # two entries may share a reference
    for entry, seed, line, scope, runs in _found(results.config, lines, few):
        run, search = next(iter(runs.values())), entry["searches"][0]
        for split in reported_splits(results.config, entry["corpus"]):
            values = (run.corpus, run.model, run.method, scope, run.sparsity, split, search, seed)
            if values not in seen:
                seen.add(values)
                axes = dict(zip(AXES, values, strict=True))
                yield (
                    axes
                    | _row(results, line, runs, split, search)
                    | _published(results, line.key, figures.get(line.key, {}), runs)
                )


def _found(
    config: Mapping[str, Any], lines: Sequence[Line], few: bool
) -> Iterator[tuple[Mapping[str, Any], int, Line, str, dict[str, ModelRun]]]:
    """(entry of `prune`, seed, line, scope, models by language) of every row whose models the study has."""
    known = {run.folder: run for run in model_runs(config)}
    for entry in config["prune"]:
        if entry["variant"]:
            continue
        corpus = entry["corpus"]
        every = config["corpora"][corpus]["languages"]
        subsets = {scope_of(config, corpus, pathways["languages"]) for pathways in entry["pathways"]}
        scopes = sorted(subsets - {"all"}) or ["all"] if few else ["all"]
        target = config["pruning"][entry["schedule"]]["levels"][-1]
        for seed in config["seeds"]:
            for line in lines:
                base = entry["reference"] if line.key == "reference" else entry["model"]
                sparsity = target if line.sparsity is None else line.sparsity
                for scope in scopes if line.scope == methods.SOME else [line.scope]:
                    wanted = every if scope in ("all", "each") else languages(config, corpus, scope)
                    runs = {}
                    for code in wanted:
                        place = code if line.scope == methods.EACH else scope
                        folder = ModelRun(corpus, base, place, seed, line.method, sparsity).folder
                        if folder in known:
                            runs[code] = known[folder]
                    if len(runs) == len(wanted):
                        yield entry, seed, line, scope, runs


def _row(results: Results, line: Line, runs: Mapping[str, ModelRun], split: str, search: str) -> dict[str, Any]:
    first = next(iter(runs.values()))
    row: dict[str, Any] = {
        "stage": line.stage,
        "model": line.model,
        "initialization": first.initialization if line.scope == methods.SOME else "",
        "mask_changes": first.mask_changes,
        "most_changed": pruning.most_changed(results, runs.values()),
        "sparsity": fmean(results.sparsity(run) for run in runs.values()),
        "stage_steps": max(pruning.stage_steps(results.config, run) for run in runs.values()),
        "steps": max(pruning.total_steps(results.config, run) for run in runs.values()),
        "training": "monolingual" if line.scope == methods.EACH else "multilingual",
    }
    system = System({code: Decoding(run, split, code, search) for code, run in runs.items()})
    for code, codes in {**{code: [code] for code in runs}, AVERAGE: list(runs)}.items():
        found = rated(results, system, codes)
        row |= {f"{code}{ending}": found[f"wer{ending}"] for ending in INTERVAL} | {f"{code}_cer": found["cer"]}
    return row | {"source": counted_files(system.decodings.values())}


def _published(
    results: Results, key: str, figures: Mapping[str, float], runs: Mapping[str, ModelRun]
) -> dict[str, float]:
    """The published figures, where they can stand beside a row: of its corpus, languages, sparsity and scale.

    Elsewhere the published relative effects stand beside the measured ones, in comparisons and claims.
    """
    if {*runs, "avg"} != set(figures):
        return {}
    size = published.S3_PARAMETERS["reference" if key == "reference" else "dense"]

    def alike(run: ModelRun) -> bool:
        corpus = results.config["corpora"][run.corpus]["recipe"] == published.S3_CORPUS
        sparsity = run.sparsity in (0.0, published.S3_SPARSITY)
        return corpus and sparsity and 0.5 <= results.size(run, "parameters")["parameters"] / size <= 2

    if not all(map(alike, runs.values())):
        return {}
    return {f"published_{code}": figures[code] for code in (*runs, "avg")}


BUDGET_COLUMNS = ("corpus", "base", "seed", "rows", "steps_run", "steps_alone", "share")


def budget(results: Results) -> Iterator[Row]:
    """Training steps that the tables' rows cost together, and what they would cost if each were trained alone.

    Alone, a row trains everything that its models are made from; together, each model is trained once.
    """
    groups: dict[tuple, dict[tuple, list[ModelRun]]] = {}
    for few, lines in ((False, TABLE1), (True, TABLE2), (False, TABLE3)):
        for entry, seed, line, scope, runs in _found(results.config, lines, few):
            members = groups.setdefault((entry["corpus"], entry["model"], seed), {})
            members[line.key, scope] = list(runs.values())
    for (corpus, base, seed), members in groups.items():
        alone, together = 0, {}
        for runs in members.values():
            needed = {}
            for run in runs:
                needed |= ancestors(results.config, run)
            alone += sum(steps(results.config, run) for run in needed.values())
            together |= needed
        total = sum(steps(results.config, run) for run in together.values())
        row = {"corpus": corpus, "base": base, "seed": seed, "rows": len(members)}
        yield row | {"steps_run": total, "steps_alone": alone, "share": total / alone}


def view(name: str, title: str, tables: views.Tables) -> list[Grid]:
    """Measured word error rates beside the published ones, and the steps behind a model; one grid per corpus."""
    grids = []
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in tables[name]:
        groups.setdefault((row["corpus"], row["split"]), []).append(row)
    for (corpus, split), members in groups.items():
        shown = [code for code in (*_codes(members), "avg") if any(row[code] for row in members)]
        beside = [code for code in shown if any(row[f"published_{code}"] for row in members)]
        several = len({row["scope"] for row in members} - {EACH}) > 1
        lines = []
        for seeds in _by_seeds(members):
            first = seeds[0]
            texts = [first["base"], first["stage"], first["model"], first["initialization"]]
            texts += [_changes(seeds), first["training"]]
            texts += [label("scope", first["scope"])] if several else []
            sparsity = combined([measure(row, "sparsity", 0, scale=100) for row in seeds])
            cells = [combined([measure(row, code, 1, interval=True) for row in seeds]) for code in shown]
            cells.append(combined([measure(row, f"{AVERAGE}_cer", 1) for row in seeds]))
            numbers = [measure(first, f"published_{code}", 2) for code in beside]
            behind = [Cell(float(first[column]), digits=0) for column in ("stage_steps", "steps")]
            lines.append([*(Cell(text=text or "–") for text in texts), sparsity, *behind, *cells, *numbers])
        header = ["Architecture", "Stage", "Model", "Masks from", "Mask changes", "Training"]
        header += ["Languages"] if several else []
        labels = len(header)
        header += ["Sparsity (%)", "Steps a language", "Steps", *shown, f"CER, {AVERAGE}"]
        header += [f"published {code}" for code in beside]
        grid = Grid(f"{title}, {views.named(tables, corpus)}", header, labels, rows=lines)
        errors = rate(tables, corpus)(f"Word error rate (%), split {split}.")
        notes = [errors, views.INTERVALS, views.AVERAGES, CHANGES, views.STEPS]
        notes += [f"Published: {published.S3}."] if beside else []
        runs = [{**row, "model": row["base"]} for row in members]
        grids.append(views.captioned(grid, tables, corpus, runs, *notes))
    return grids


def _changes(seeds: Sequence[Row]) -> str:
    """Whether masks change, and by how much at most; masks that may and never did are no test of adaptation."""
    if seeds[0]["mask_changes"] != "true":
        return label("mask_changes", seeds[0]["mask_changes"])
    most = max(float(row["most_changed"]) for row in seeds)
    return f"yes, {100 * most:.1f} %" if most else NEVER


def budget_view(tables: views.Tables) -> list[Grid]:
    """How much work the tables' rows share."""
    columns = {"corpus": "Corpus", "base": "Architecture", "seed": "Seed", "rows": "Rows"}
    columns |= {"steps_run": "Steps run", "steps_alone": "Steps, each row alone", "share": "Share"}
    numbers = {"rows": 0, "steps_run": 0, "steps_alone": 0, "share": 2}
    rows = [{**row, "source": ""} for row in tables["budget"]]
    return [listing("Training that the rows of tables 1 to 3 share", rows, columns, numbers)] if rows else []


def _by_seeds(members: Sequence[Row]) -> list[list[Row]]:
    """Rows that differ in their seed alone, together."""
    alike: dict[tuple[str, ...], list[Row]] = {}
    for row in members:
        alike.setdefault(tuple(row[axis] for axis in AXES if axis != "seed"), []).append(row)
    return list(alike.values())


def _codes(members: Sequence[Row]) -> list[str]:
    return [column.removeprefix("published_") for column in members[0] if column.startswith("published_")][:-1]


# --- what the specs of the tables name


def table_columns(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of tables 1 to 3 in a study."""
    return columns(codes(config))


table1 = partial(rows, lines=TABLE1, figures=published.S3_TABLE1, few=False)
table2 = partial(rows, lines=TABLE2, figures=published.S3_TABLE2, few=True)
table3 = partial(rows, lines=TABLE3, figures=published.S3_TABLE3, few=False)
table1_view = partial(view, "table1", "Pruning a multilingual model")
table2_view = partial(view, "table2", "Pathways of some languages")
table3_view = partial(view, "table3", "Pathways of all languages")
