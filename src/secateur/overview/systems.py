"""One table of all systems: errors, size, arithmetic, time and memory, and which of them no other one beats.

Rates are those of a test split and, where it is decoded, of the dev split, in percent, means over languages.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from secateur.decoding.timing import AGAIN, SAME
from secateur.overview.candidates import COSTS, DENSE, KINDS, STRUCTURED, Candidate, candidates, costs, steps_behind
from secateur.overview.choice import DEV_MISSING, choices, needs, value_of
from secateur.overview.study import DEV
from secateur.overview.times import COLUMNS as TIMES
from secateur.overview.times import Times
from secateur.reporting import views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.rates import rate
from secateur.reporting.results import Results
from secateur.reporting.systems import RATES, rated
from secateur.reporting.times import SOUND, soundness
from secateur.ssl import study as upstreams
from secateur.ssl.known_tasks import DEV as DEV_METRIC
from secateur.ssl.known_tasks import spoken
from secateur.ssl.measured import EncoderTimes
from secateur.ssl.study import BASELINES, TEACHER
from secateur.statistics.pareto import on_front

FRONTS = {"front_bytes": "bytes", "front_macs": "macs_per_second", "front_time": "rtf"}
AXES = ("corpus", "kind", "system", "model", "method", "scope", "sparsity_target", "seed", "search", "lm", "languages")
COLUMNS = (
    *(*AXES, "split", *RATES, *(f"dev_{column}" for column in RATES), *COSTS, "format", "models"),
    *(*TIMES, "steps", *FRONTS, "folder", "sub_model", "source"),
)
FEATURES = "features alone, in turns"


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per system, seed and test split."""
    made = [*_decoded(results), *_structured(results)]
    mark_fronts(made)
    yield from made


def mark_fronts(made: Sequence[dict[str, Any]]) -> None:
    """Say of every row whether its system is on the fronts of errors against the columns of `FRONTS`.

    Systems are compared that read the same utterances by the same search, on one seed.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in made:
        axes = ("corpus", "languages", "split", "search", "seed")
        groups.setdefault((*(row[axis] for axis in axes), row["kind"] == STRUCTURED), []).append(row)
    for members in groups.values():
        for front, column in FRONTS.items():
            known = [row for row in members if row.get(column) is not None and row.get("wer") is not None]
            marks = on_front([(row["wer"], row[column]) for row in known])
            for row, mark in zip(known, marks, strict=True):
                row[front] = mark


def _decoded(results: Results) -> Iterator[dict[str, Any]]:
    times = Times(results)
    for candidate in candidates(results):
        run, cost = candidate.run, costs(results, candidate)
        tests = [split for split in candidate.systems if split != DEV] or [""]
        dev = candidate.systems.get(DEV)
        on_dev, timed = rated(results, dev) if dev else {}, times.of(candidate)
        for split in tests:
            on_test = rated(results, candidate.systems[split]) if split else {}
            sources = " ".join(filter(None, (found.get("source") for found in (on_test, on_dev, timed))))
            yield {
                **axes_of(results, candidate),
                "split": split,
                **{column: on_test.get(column) for column in RATES},
                **{f"dev_{column}": on_dev.get(column) for column in RATES},
                **cost,
                **{column: timed.get(column) for column in TIMES},
                "steps": steps_behind(results.config, run),
                **dict.fromkeys(FRONTS),
                "folder": " ".join(one.folder for one in candidate.runs),
                "sub_model": candidate.sub_model,
                "source": sources,
            }


def axes_of(results: Results, candidate: Candidate) -> dict[str, Any]:
    """The columns `AXES` of a system."""
    run = candidate.run
    values = (run.corpus, candidate.kind, candidate.name, run.model, run.method, run.scope, run.sparsity, run.seed)
    place = (candidate.search, results.lm_label(candidate.search), " ".join(candidate.languages))
    return dict(zip(AXES, (*values, *place), strict=True))


def _structured(results: Results) -> Iterator[dict[str, Any]]:
    """Self-supervised encoders by their task of recognising speech; what that task adds to them is not counted."""
    name, metric = spoken()
    for entry, run in upstreams.runs(results.config):
        if run.model in BASELINES:
            continue
        measured = results.json(run.scores, "tasks")["tasks"].get(name, {"metrics": {}})["metrics"]
        times = EncoderTimes(results, entry["name"], run.seed, base=False)
        if metric not in measured or run.model not in times.models:
            continue
        trained = [*upstreams.iterations(entry)][-1:] if run.model == TEACHER else [run.model]
        values = (entry["corpus"], DENSE if run.model == TEACHER else STRUCTURED, f"{run.name}/{run.model}")
        yield {
            **dict(zip(AXES, (*values, run.name, run.model, "", 0.0, run.seed, f"task {name}", "", ""), strict=True)),
            "split": "test",
            **_rates(measured, "", metric),
            **_rates(measured, DEV_METRIC, metric),
            **{column: times.models[run.model].get(column) for column in COSTS},
            **{"format": "dense", "models": 1},
            **{column: found for column, found in times.latency(run.model).items() if column in TIMES},
            **{"timed": FEATURES, **times.sound},
            "steps": sum(upstreams.total_steps(results.config, entry, part) for part in trained) or None,
            **{"folder": run.folder if run.model != TEACHER else "", "source": f"{run.scores} {times.source}"},
        }


def _rates(measured: Mapping[str, Any], prefix: str, metric: str) -> dict[str, Any]:
    """The columns `RATES` of a task's metrics that begin with `prefix`, where the task has them."""
    found = {"wer": measured.get(f"{prefix}{metric}"), "cer": measured.get(f"{prefix}cer")}
    ends = {"value": "", "low": "_low", "high": "_high"}
    return {
        f"{'dev_' if prefix else ''}{rate}{end}": value[key]
        for rate, value in found.items()
        if value
        for key, end in ends.items()
    }


# --- for reading


NOTES = (
    "One line a system: a model or sub-model with a search. MB: the file in the smaller of the formats that we write "
    "(sparse: bits of the masks, and the weights that stay), of a language model or a lexicon with its n-gram, too, "
    "and where models are monolingual of those of all languages together. MMAC, memory: of the acoustic model alone, "
    "encoding. Time: in turns with others on the dev sets; a model that computes what another one does takes its time "
    "over. Front: no other system with this search has both fewer errors and fewer bytes (B), less arithmetic (M) or "
    "less time (T). A/A: the second time of the system that the others took turns with, as a multiple (×) of its first."
)


def view(tables: views.Tables) -> list[Grid]:
    """By corpus: all systems, and below them the best for some needs."""
    grids = []
    for corpus, members in views.by_corpus(tables["systems"]).items():
        index = ("kind", "system", "search", "split", "format", "timed")
        ordered = [*sorted(members, key=lambda row: KINDS.index(row["kind"])), *timed_twice(members)]
        grid = pivot(f"All systems, {views.named(tables, corpus)}", ordered, index, _cells, keep=("kind", "system"))
        missing = "" if any(row["dev_wer"] for row in members) else DEV_MISSING
        notes = (NOTES, missing, soundness(members))
        grids.append(_named(views.captioned(grid, tables, corpus, members, *notes), tables, corpus))
        if found := _chosen(tables, corpus, members):
            grids.append(found)
    return grids


def timed_twice(rows: Iterable[Row]) -> list[Row]:
    """One row an A/A test behind the times of rows: the second time of its reference over the first, as `same`."""
    tests: dict[tuple[str, ...], Row] = {}
    for row in rows:
        if row.get(SAME[0]):
            tests.setdefault((row["model"], *(row[column] for column in SOUND)), row)
    axes = ("corpus", "search", "split", "timed", "source", *SOUND)
    return [
        {"kind": AGAIN, "system": f"{row['model']}, timed twice", "format": "", **{axis: row[axis] for axis in axes}}
        for row in tests.values()
    ]


def _cells(row: Row) -> Iterable[tuple[str, Cell]]:
    if row["kind"] == AGAIN:
        yield "RTF", replace(measure(row, SAME[0], 3, interval=True), suffix=" ×")
        return
    fronts = "".join(letter for letter, front in zip("BMT", FRONTS, strict=True) if row[front] == "true")
    yield from (("WER", measure(row, "wer", 1, interval=True)), ("CER", measure(row, "cer", 1, interval=True)))
    if row["dev_wer"]:
        yield "WER, dev", measure(row, "dev_wer", 1, interval=True)
    yield from (
        ("Parameters (M)", measure(row, "parameters", 2, 1e-6)),
        ("Not zero (M)", measure(row, "nonzero", 2, 1e-6)),
        ("MB", measure(row, "bytes", 2, 1e-6)),
        ("MMAC per s", measure(row, "macs_per_second", 1, 1e-6)),
        ("p50 (ms)", measure(row, "p50_s", None, 1e3, interval=True)),
        ("RTF", measure(row, "rtf", interval=True)),
        ("Memory (MB)", measure(row, "peak_memory", 0, 1e-6)),
        ("Steps", measure(row, "steps", 0)),
        ("Front", Cell(text=fronts or "–")),
    )


CHOSEN = (("dev_wer", 1, 1.0), ("wer", 1, 1.0), ("cer", 1, 1.0), ("bytes", 2, 1e-6), ("rtf", None, 1.0))
"""Of a system that is chosen: columns, decimals, scale."""


def _chosen(tables: views.Tables, corpus: str, members: Sequence[Row]) -> Grid | None:
    """The best system for a few typical limits, chosen on dev."""
    known = [row for row in members if row["kind"] != STRUCTURED]
    known = [row for row in known if row["split"] == known[0]["split"]]
    if not any(row["dev_wer"] for row in known):
        return None
    title = f"The best system for some needs, {views.named(tables, corpus)}"
    lines = []
    for need in needs(known):
        found = choices(known, need.limits, "dev")
        best = found.best
        cells = [
            Cell(text=need.text),
            Cell(text=best.name if best else "none"),
            Cell(text=best.search if best else "–"),
        ]
        for column, digits, scale in CHOSEN:
            value = best.values.get(column) if best else None
            cells.append(Cell(value * scale if value is not None else None, digits=digits))
        free = choices(known, {}).best
        cost = value_of(best, "wer", "dev") - value_of(free, "wer", "dev") if best and free else None
        cells.insert(3, Cell(cost, digits=1))
        lines.append(cells)
    split = known[0]["split"] or "test"
    header = ("Wanted", "System", "Search", "Costs, points", "WER, dev", f"WER, {split}", f"CER, {split}", "MB", "RTF")
    note = (
        f"The fewest errors on dev among the systems within the limits; those on {split} are of this choice. "
        "Costs: points of errors on dev more than without limits. "
        "`secateur choose` does it for limits of your own, and hands the model over."
    )
    return _named(Grid(title, header, 3, lines, f"{note} {views.speech(tables, corpus)}"), tables, corpus)


def _named(grid: Grid, tables: views.Tables, corpus: str) -> Grid:
    """The grid with the right names of error rates."""
    name = rate(tables, corpus)
    return replace(grid, header=[name(heading) for heading in grid.header], caption=name(grid.caption))
