"""Tables 1 to 3 of the study of pruned multilingual models (S3): measured beside published, row by row.

A row stands for one model of all languages, or for the monolingual models together. It is there when the study has all
of its models.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from secateur.reporting import published, views
from secateur.reporting.grid import Cell, Grid, Row, combined, listing, measure
from secateur.reporting.results import Results
from secateur.scoring import average_error_rate
from secateur.study import Decoding, ModelRun, ancestors, languages, model_runs, scope_of, splits, steps

AXES = ("corpus", "base", "split", "search", "seed")
COLUMNS = ("stage", "model", "initialization", "mask_changes", "sparsity", "training")
INTERVAL = ("", "_low", "_high")


@dataclass(frozen=True)
class Line:
    """One row: what the document calls it, and which models it is about.

    `key` names the published figures, `method` and `level` the models ("target", or None for dense ones); `scope` is
    `each`, `all`, or `pathways` for the languages of an entry of pathways.
    """

    stage: str
    model: str
    key: str
    method: str
    scope: str
    initialization: str = ""
    pruned: bool = True


def pathways_line(stage: str, kind: str, masks: str, permille: int) -> Line:
    name = "Dynamic ASR Pathways" if kind == "dynamic" else "ASR Pathways"
    start = f"{masks.upper()}-{permille / 10:g}%"
    method = f"{kind}-{masks}-s{permille:03d}"
    return Line(stage, f"{name} ({start})" if stage == "3" else name, method, method, "pathways", start)


TABLE1 = (
    Line("ref", "small dense", "reference", "dense", "each", pruned=False),
    Line("1", "dense", "dense", "dense", "all", pruned=False),
    Line("2", "LAP", "lap", "lap", "all"),
    Line("2", "IMP", "imp", "imp", "each"),
    Line("2", "LTH", "lth", "lth", "each"),
    pathways_line("3", "pathways", "imp", 700),
    pathways_line("3", "pathways", "lth", 700),
    Line("proposed", "IMP, adaptive", "imp-adaptive", "imp-adaptive", "each"),
    Line("proposed", "LTH, adaptive", "lth-adaptive", "lth-adaptive", "each"),
)
TABLE2 = tuple(
    pathways_line("", kind, masks, level)
    for kind, masks, level in (
        ("pathways", "lth", 700),
        ("pathways", "lap", 700),
        *(("dynamic", masks, level) for masks in ("lth", "lap") for level in (700, 500, 200)),
    )
)
TABLE3 = (pathways_line("", "pathways", "lth", 700), pathways_line("", "dynamic", "lth", 500))


def columns(codes: Sequence[str]) -> tuple[str, ...]:
    """The columns of a table whose languages are `codes`."""
    shown = (*codes, "avg")
    measured = [f"{code}{ending}" for code in shown for ending in INTERVAL]
    return (*AXES, *COLUMNS, *measured, *(f"published_{code}" for code in shown), "source")


def codes(config: Mapping[str, Any]) -> list[str]:
    """The languages of all corpora in which a model is pruned."""
    found = [code for entry in config["prune"] for code in config["corpora"][entry["corpus"]]["languages"]]
    return list(dict.fromkeys(found))


def rows(
    results: Results, lines: Sequence[Line], figures: Mapping[str, Mapping[str, float]], few: bool
) -> Iterator[Row]:
    """The rows of one table; `few` picks the pathways of some languages (table 2), else those of all."""
    for entry, seed, line, _, runs in _found(results.config, lines, few):
        base, search = next(iter(runs.values())).model, entry["searches"][0]
        for split in splits(results.config, entry["corpus"]):
            axes = {"corpus": entry["corpus"], "base": base, "split": split, "search": search, "seed": seed}
            yield axes | _row(results, line, runs, split, search, figures.get(line.key, {}))


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
                sparsity = target if line.pruned else 0.0
                for scope in scopes if line.scope == "pathways" else [line.scope]:
                    wanted = every if scope in ("all", "each") else languages(config, corpus, scope)
                    runs = {}
                    for code in wanted:
                        place = code if line.scope == "each" else scope
                        folder = ModelRun(corpus, base, place, seed, line.method, sparsity).folder
                        if folder in known:
                            runs[code] = known[folder]
                    if len(runs) == len(wanted):
                        yield entry, seed, line, scope, runs


def _row(
    results: Results,
    line: Line,
    runs: Mapping[str, ModelRun],
    split: str,
    search: str,
    figures: Mapping[str, float],
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "stage": line.stage,
        "model": line.model,
        "initialization": line.initialization,
        "mask_changes": next(iter(runs.values())).mask_changes,
        "sparsity": fmean(results.sparsity(run) for run in runs.values()),
        "training": "monolingual" if line.scope == "each" else "multilingual",
    }
    counts, sources = {}, []
    for code, run in runs.items():
        folder = Decoding(run, split, code, search).folder
        score = results.json(f"{folder}/score.json", "wer", "wer_low", "wer_high")
        row |= {f"{code}{ending}": score[f"wer{ending}"] for ending in INTERVAL}
        utterances = results.tsv(f"{folder}/utterances.tsv", "errors", "words")
        counts[code] = tuple([int(utterance[key]) for utterance in utterances] for key in ("errors", "words"))
        sources.append(f"{folder}/score.json")
    mean = average_error_rate(counts)
    row |= {"avg": mean.value, "avg_low": mean.low, "avg_high": mean.high}
    row |= {f"published_{code}": figures[code] for code in (*runs, "avg") if code in figures}
    return row | {"source": " ".join(sources)}


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
    """Measured word error rates, and the published average; one grid per corpus and model."""
    grids = []
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in tables[name]:
        groups.setdefault((row["corpus"], row["split"]), []).append(row)
    for (corpus, split), members in groups.items():
        shown = [code for code in (*_codes(members), "avg") if any(row[code] for row in members)]
        order = dict.fromkeys((row["base"], row["stage"], row["model"], row["initialization"]) for row in members)
        lines = []
        for key in order:
            seeds = [row for row in members if (row["base"], row["stage"], row["model"], row["initialization"]) == key]
            first = seeds[0]
            changes = {"true": "yes", "false": "no"}.get(first["mask_changes"], "–")
            texts = (first["base"], first["stage"], first["model"], first["initialization"], changes, first["training"])
            cells = [combined([measure(row, code, 1, interval=True) for row in seeds]) for code in shown]
            numbers = [measure(first, f"published_{code}", 2) for code in shown]
            sparsity = combined([measure(row, "sparsity", 0, scale=100) for row in seeds])
            lines.append([*(Cell(text=text or "–") for text in texts), sparsity, *cells, *numbers])
        header = ["Architecture", "Stage", "Model", "Masks from", "Mask changes", "Training", "Sparsity (%)"]
        header += [*shown, *(f"published {code}" for code in shown)]
        grid = Grid(f"{title}, {views.named(tables, corpus)}", header, labels=6, rows=lines)
        notes = (f"Word error rate (%), split {split}.", views.INTERVALS, f"Published: {published.S3}.", views.AVERAGES)
        runs = [{**row, "model": row["base"], "method": method} for row in members for method in _methods(tables)]
        grids.append(views.captioned(grid, tables, corpus, runs, *notes))
    return grids


def budget_view(tables: views.Tables) -> list[Grid]:
    """How much work the tables' rows share."""
    columns = {"corpus": "Corpus", "base": "Architecture", "seed": "Seed", "rows": "Rows"}
    columns |= {"steps_run": "Steps run", "steps_alone": "Steps, each row alone", "share": "Share"}
    numbers = {"rows": 0, "steps_run": 0, "steps_alone": 0, "share": 2}
    rows = [{**row, "source": ""} for row in tables["budget"]]
    return [listing("Training that the rows of tables 1 to 3 share", rows, columns, numbers)] if rows else []


def _codes(members: Sequence[Row]) -> list[str]:
    return [column.removeprefix("published_") for column in members[0] if column.startswith("published_")][:-1]


def _methods(tables: views.Tables) -> list[str]:
    return sorted({row["method"] for row in tables["runs"] if row["stage"] == "model"})
