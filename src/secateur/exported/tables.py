"""The table of what bundles measured on the devices that models are for."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from secateur.decoding.timing import CONDITIONS, ENDS, RATIO, latency, latency_intervals, relative_time
from secateur.exported.study import targets
from secateur.exported.target import COLUMNS as MEASURED
from secateur.reporting import views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.results import Results
from secateur.reporting.times import soundness

AXES = ("target", "machine", "system")
FACTS = ("bytes", "threads", "runtime")
COLUMNS = (*AXES, *ENDS, *RATIO, "agrees", *FACTS, "rounds", "utterances", *CONDITIONS, "source")


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per target and system; the first system's second time as A/A."""
    for target, source in targets(results.config).items():
        systems: dict[str, list[Row]] = {}
        for row in results.tsv(source, *MEASURED):
            systems.setdefault(row["system"], []).append(row)
        first = next(iter(systems.values()), [])
        for found in systems.values():
            yield {"target": target, "source": source} | _of(found, first)


def _of(found: list[Row], first: list[Row]) -> dict[str, Any]:
    times, ends = latency(found), latency_intervals(found)
    values: dict[str, Any] = {name: found[0][name] for name in (*AXES[1:], *FACTS, *CONDITIONS)}
    for name in ends.keys() & set(ENDS):
        values |= {name: times[name], f"{name}_low": ends[name][0], f"{name}_high": ends[name][1]}
    columns = {"rounds": "round", "utterances": "utterance"}
    counts = {name: len({row[column] for row in found}) for name, column in columns.items()}
    agrees = 100 * sum(int(row["agrees"]) for row in found) / len(found)
    return values | counts | {"agrees": agrees} | dict(zip(RATIO, relative_time(found, first), strict=True))


# --- for reading

NOTE = (
    "ONNX files, greedy search, one utterance at a time, all systems in turns in random order, by a script that needs "
    "numpy and onnxruntime alone. Over first: time over that of the first system. Heard as here: share of the "
    "utterances whose labels are those of the machine that made the bundle; processors differ in how they compute int8."
)


def view(tables: views.Tables) -> list[Grid]:
    """By target: the size and time of every system there."""
    grids = []
    for (target, machine), members in views.grouped(tables["targets"], "target", "machine").items():
        index = ("system", "rounds", "utterances")
        grid = pivot(f"On {target} ({machine})", members, index, _cells, keep=("system",))
        grids.append(replace(grid, caption=f"{NOTE} {views.INTERVALS} {soundness(members)}"))
    return grids


def _cells(row: Row) -> list[tuple[str, Cell]]:
    return [
        ("MB", measure(row, "bytes", 2, 1e-6)),
        ("RTF", measure(row, "rtf", None, interval=True)),
        ("Over first", measure(row, "ratio", 2, interval=True)),
        ("Median (ms)", measure(row, "p50_s", 1, 1e3, interval=True)),
        ("Heard as here (%)", measure(row, "agrees", 0)),
    ]
