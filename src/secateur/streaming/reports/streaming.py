"""Streaming as its users feel it."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.reporting.table import Table
from secateur.streaming import study as streaming


def measured(config: Mapping[str, Any]) -> Iterator[str]:
    return (streaming.file(entry) for entry, _ in streaming.entries(config))


TABLES = (
    Table(
        name="streaming",
        title="Streaming, before and after pruning",
        caption=(
            "Delay of the first label behind the beginning of speech and of the last one behind its end, time of a "
            "piece over its length, real-time factor, and memory between pieces, of streaming transducers in ONNX "
            "Runtime, with their differences from the dense model."
        ),
        section="time",
        columns="secateur.streaming.tables:COLUMNS",
        rows="secateur.streaming.tables:rows",
        files=measured,
        view="secateur.streaming.tables:view",
        order=30,
    ),
)
