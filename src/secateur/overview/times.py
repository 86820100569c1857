"""The time of systems, from the jobs that time several in turns; where there is none, from their decoding.

A model that computes what another one does takes over its time: masks, late regularisers and further training leave the
shape of the dense model as it is, and a model that lost heads or layers keeps its shape when it is trained on.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from secateur.decoding.timing import AGAIN, latency, latency_intervals, relative_time
from secateur.heads import study as heads
from secateur.heads.measured import Times as InTurns
from secateur.heads.study import DEPTH, HEADS, RECOVERED, heads_step, system_name
from secateur.layers import study as layers
from secateur.overview.candidates import Candidate, name_of
from secateur.overview.comparisons import System as Family
from secateur.overview.comparisons import systems
from secateur.overview.study import dense_of
from secateur.reporting.results import Results
from secateur.reporting.systems import System, decoding_times
from secateur.study.runs import ModelRun

COLUMNS = ("p50_s", "p50_s_low", "p50_s_high", "rtf", "rtf_low", "rtf_high", "timed", "time_doubt")
IN_TURNS, DECODED = "in turns", "while decoding"

Timed = Mapping[str, Any]


class Times:
    """The times of a study's systems."""

    def __init__(self, results: Results):
        self.results = results
        self._found: dict[tuple[str, str, str], Timed | None] = {}
        self._doubts: dict[str, str] = {}

    def of(self, candidate: Candidate, split: str) -> dict[str, Any]:
        """The columns `COLUMNS` of a system, and `source`; empty where nothing was timed.

        `timed` says how: in turns with others, or while it was decoded, without an interval; and as which other model.
        """
        if found := self._in_turns(candidate.run, candidate.search, candidate.sub_model):
            return dict(found) | {"timed": IN_TURNS}
        run, part = self._shape(candidate)
        taken_over = "" if (run, part) == (candidate.run, candidate.sub_model) else f", as {_called(run, part)}"
        if found := self._in_turns(run, candidate.search, part):
            return dict(found) | {"timed": IN_TURNS + taken_over}
        if part:
            return {}
        other = System(self._decoded.get(Family(run, split, candidate.search), {}))
        if other.decodings:
            return decoding_times(self.results, other) | {"timed": DECODED + taken_over}
        own = self._decoded.get(Family(candidate.run, split, candidate.search))
        return decoding_times(self.results, System(own)) | {"timed": DECODED} if own else {}

    def _shape(self, candidate: Candidate) -> tuple[ModelRun, str]:
        """The model, or the part of one, that computes what a system does and may have been timed."""
        run = candidate.run
        if candidate.sub_model:
            return run, candidate.sub_model
        if not run.method.startswith((HEADS, DEPTH)):
            return dense_of(run), ""
        if not heads.trained_on(run):
            return run, ""
        entry, method = heads.entry_of(self.results.config, run), run.method.removesuffix(RECOVERED)
        if method in heads.combined(entry):
            return heads.smaller_run(entry, method, run.seed), ""
        whole = dense_of(run)
        known = self.results.json(heads.removals_file(whole), "systems")["systems"]
        return whole, next(
            row["set"]
            for row in known
            if row["importance"] == entry["importances"][0] and heads_step(row["policy"], row["share"]) == method
        )

    def _in_turns(self, run: ModelRun, search: str, part: str) -> Timed | None:
        key = (run.folder, search, part)
        if key not in self._found:
            self._found[key] = self._with_heads(run, search, part) or self._by_depth.get(key)
        return self._found[key]

    def _with_heads(self, run: ModelRun, search: str, part: str) -> Timed | None:
        """What the job that times a model without heads measured."""
        measured = self._heads.get(dense_of(run).folder)
        if measured is None or not (run == dense_of(run) or run.method.startswith((HEADS, DEPTH))):
            return None
        rows = measured.rows(system_name(run.method, search), part)
        if not rows:
            return None
        found, ends = latency(rows), latency_intervals(rows)
        times: dict[str, Any] = {"source": measured.source, "time_doubt": self._doubt(dense_of(run).folder)}
        for column in ("p50_s", "rtf"):
            times |= {column: found[column], f"{column}_low": ends[column][0], f"{column}_high": ends[column][1]}
        return times

    def _doubt(self, folder: str) -> str:
        """Whether the system that was timed twice, the first of its job, differs from itself."""
        if folder not in self._doubts:
            measured, first = self._heads[folder], self._first[folder]
            again, rows = measured.rows(AGAIN), measured.rows(first)
            ratio, low, high = relative_time(again, rows) if again and rows else (1.0, 1.0, 1.0)
            differs = f"the same model timed twice differs: {ratio:.3f} [{low:.3f}, {high:.3f}]"
            self._doubts[folder] = "" if low <= 1 <= high else differs
        return self._doubts[folder]

    @cached_property
    def _heads(self) -> dict[str, InTurns]:
        return {run.folder: InTurns(self.results, run) for _, run in heads.runs(self.results.config)}

    @cached_property
    def _first(self) -> dict[str, str]:
        return {run.folder: next(iter(heads.timed(entry, run))) for entry, run in heads.runs(self.results.config)}

    @cached_property
    def _by_depth(self) -> dict[tuple[str, str, str], Timed]:
        """By folder, search and kept layers, what the jobs that time all depths measured: on a GPU if there is one."""
        found: dict[tuple[str, str, str], Timed] = {}
        for entry, run in layers.runs(self.results.config):
            source = layers.rtf_file(run)
            kept = self._kept(run)
            alone = {layers.trained_name(run.model, depth): depth for depth in entry["trained"]}
            for row in sorted(self.results.tsv(source, "rtf", "rtf_low"), key=lambda row: row["device"] != "cpu"):
                columns = [column for column in COLUMNS if column.startswith(("p50", "rtf"))]
                times: dict[str, Any] = {column: float(row[column]) if row.get(column) else None for column in columns}
                times |= {"time_doubt": row.get("doubt", ""), "source": source}
                if row["model"] in alone:
                    other = layers.trained_run(entry, alone[row["model"]], run.seed)
                    found[other.folder, row["search"], ""] = times
                else:  # which layers are kept does not matter for the time
                    parts = kept.get(row["depth"], [""])
                    found |= {(run.folder, row["search"], part): times for part in parts}
        return found

    def _kept(self, run: ModelRun) -> dict[str, list[str]]:
        """By depth, the layers that strategies keep, as tables name a sub-model; none for the whole model."""
        found: dict[str, list[str]] = {}
        for order in layers.orders(self.results.config)[run.folder]:
            for depth, one in self.results.json(order, "depths")["depths"].items():
                found.setdefault(depth, []).append(",".join(map(str, one["layers"])))
        return found

    @cached_property
    def _decoded(self) -> Mapping[Family, Any]:
        return systems(self.results.config)


def _called(run: ModelRun, part: str) -> str:
    return f"{name_of(run)}, heads: {part}" if part else name_of(run)
