"""The time of systems: measured in turns by the job of their family, or taken over from a model of the same shape.

A model that computes what another one does takes over its time: masks, late regularisers and further training leave the
shape of the dense model as it is, and a model that lost heads or layers keeps its shape when it is trained on.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.decoding.timing import AGAIN, RATIO
from secateur.heads import study as heads
from secateur.heads.study import CONTROL, RECOVERED, heads_step
from secateur.layers.rtf import depth_name_of
from secateur.overview.candidates import SHALLOWER, Candidate, name_of
from secateur.overview.comparisons import systems
from secateur.overview.study import dense_of
from secateur.reporting import views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.results import MODEL_AXES, Results
from secateur.reporting.systems import AVERAGE
from secateur.reporting.times import SOUND, TIMES, soundness
from secateur.reporting.times import Times as Measured
from secateur.study.runs import ModelRun
from secateur.study.timing import SPLIT

COLUMNS = ("p50_s", "p50_s_low", "p50_s_high", "rtf", "rtf_low", "rtf_high", *RATIO, "timed", *SOUND)
IN_TURNS = "in turns"
LATENCY_COLUMNS = (
    *(*MODEL_AXES, "language", "split", "search", "lm", "timed_as"),
    *(*TIMES, *RATIO, "rounds", "utterances", "device", "threads", *SOUND, "source"),
)


class Times:
    """The times of a study's systems."""

    def __init__(self, results: Results):
        self.results, self.measured = results, Measured(results)

    def of(self, candidate: Candidate) -> dict[str, Any]:
        """The columns `COLUMNS` of a system, and `source`; empty where nothing was timed.

        `timed` says how: in turns with others; and as which other model.
        """
        part = candidate.sub_model
        if part and candidate.kind == SHALLOWER:  # which layers are kept does not matter for the time
            part = depth_name_of(part)
        found, taken_over = self.find(candidate.run, candidate.search, part)
        if not found:
            return {}
        timed = f"{IN_TURNS}, as {taken_over}" if taken_over else IN_TURNS
        source = self.measured.family(candidate.run).source
        return {column: found.get(column) for column in COLUMNS} | {"timed": timed, "source": source}

    def find(self, run: ModelRun, search: str, part: str = "", device: str | None = None) -> tuple[dict[str, Any], str]:
        """The row of `timing.tsv` about a model or a part of it, and which other one was timed for it, or "".

        Empty where neither was timed.
        """
        shape, shape_part = (run, part) if part else self._shape(run)
        found, timed = self.measured.of(shape, search, shape_part, device)
        same = timed.folder == run.folder and shape_part == part
        return found, "" if same or not found else ", ".join(filter(None, (name_of(timed), shape_part)))

    def _shape(self, run: ModelRun) -> tuple[ModelRun, str]:
        """The model, or the part of one, that a model that was trained on without heads or layers has the shape of."""
        if not heads.trained_on(run):
            return run, ""
        entry, method = heads.entry_of(self.results.config, run), run.method.removesuffix(RECOVERED)
        if run.method == CONTROL:
            return dense_of(run), ""
        if method in heads.combined(entry):
            return heads.smaller_run(entry, method, run.seed), ""
        whole = dense_of(run)
        known = self.results.json(heads.removals_file(whole), "systems")["systems"]
        return whole, next(
            row["set"]
            for row in known
            if row["importance"] == entry["importances"][0] and heads_step(row["policy"], row["share"]) == method
        )


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per model, search and device, on the first seed; of a family, also one of method A/A.

    Models that were not timed themselves have the time of the one that is named in `timed_as`.
    """
    times, again = Times(results), {}
    place: dict[str, Any] = {"split": SPLIT}
    for (run, search), parts in _first(results).items():
        one, family = next(iter(parts.values())).run, times.measured.family(run)
        several = len(parts) > 1
        axes = results.axes(one) | {"scope": run.scope if several else one.scope}
        place["language"] = AVERAGE if several else next(iter(parts))
        for device in family.devices:
            found, taken_over = times.find(run, search, device=device)
            if found:
                facts = {"lm": results.lm_label(search), "timed_as": taken_over, "source": family.source}
                yield _row(found | facts | axes | place)
                second = family.again(search, device)
                facts = {"corpus": run.corpus, "model": family.family.model, "method": AGAIN, "sparsity_target": 0.0}
                facts |= {"lm": results.lm_label(second["search"]), "source": family.source}
                again[family.family, second["group"], device] = _row(second | facts | place)
    yield from again.values()


def _first(results: Results) -> dict[tuple[ModelRun, str], Mapping[str, Any]]:
    """The decodings, by language, of every model with every search, on the first seed and on any split."""
    found: dict[tuple[ModelRun, str], Mapping[str, Any]] = {}
    for system, parts in systems(results.config).items():
        if system.run.seed == results.config["seeds"][0]:
            found.setdefault((system.run, system.search), parts)
    return found


def _row(found: Mapping[str, Any]) -> dict[str, Any]:
    return {column: found.get(column) for column in LATENCY_COLUMNS}


# --- for reading


NOTE = (
    "Milliseconds per utterance of the dev sets, one at a time: all systems of one architecture take turns, and the "
    "median over the rounds counts. p50, p95: percentiles over utterances. RTF: real-time factor. Over dense: time "
    "over that of the dense model by the same search. In brackets: 95 % interval over rounds and utterances. "
    "Measured as: the model that computes the same and was timed in the place of this one."
)


def view(tables: views.Tables) -> list[Grid]:
    """By corpus: where the time goes, and how long that is."""
    grids = []
    for corpus, members in views.by_corpus(tables["latency"]).items():

        def cells(row: Row) -> list[tuple[str, Cell]]:
            parts = {"encoder_s": "Encoder (ms)", "search_s": "Search (ms)", "lm_s": "LM (ms)"}
            return [
                *((heading, measure(row, column, scale=1000)) for column, heading in parts.items()),
                ("Total (ms)", measure(row, "total_s", None, 1000, interval=True)),
                ("p50 (ms)", measure(row, "p50_s", scale=1000)),
                ("p95 (ms)", measure(row, "p95_s", scale=1000)),
                ("RTF", measure(row, "rtf", interval=True)),
                ("Over dense", measure(row, "ratio", 2, interval=True)),
            ]

        index = ("model", "method", "scope", "sparsity_target", "search", "lm", "timed_as", "utterances", "rounds")
        grid = pivot(
            f"Decoding time, {views.named(tables, corpus)}",
            members,
            (*index, "threads", "device"),
            cells,
            keep=("model", "search"),
        )
        timed = [row for row in members if row["method"] != AGAIN]
        grids.append(views.captioned(grid, tables, corpus, timed, NOTE, soundness(members)))
    return grids
