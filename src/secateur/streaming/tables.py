"""The table of streaming: what listeners wait for, before and after pruning."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from secateur.decoding.timing import AGAIN
from secateur.overview.candidates import name_of
from secateur.reporting import rates, views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.results import Results
from secateur.reporting.times import soundness
from secateur.streaming import study as streaming
from secateur.streaming.summary import COLUMNS as MEASURED
from secateur.streaming.summary import called

COLUMNS = ("corpus", "model", "seed", *MEASURED, "source")


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per model of an entry and format, and one for the dense model's second time."""
    for entry, members in streaming.entries(results.config):
        source = streaming.file(entry)
        found = {row["system"]: row for row in results.tsv(source, *MEASURED)}
        axes = {"corpus": entry["corpus"], "model": entry["model"], "seed": members[0].seed}
        kinds = [(run, kind) for run in members for kind in entry["formats"]]
        named = {called(run.folder, kind): called(name_of(run), kind) for run, kind in kinds}
        for system, name in (named | {AGAIN: AGAIN}).items():
            yield axes | found[system] | {"system": name, "source": source}


# --- for reading

NOTE = (
    "First: from the beginning of speech, by its energy, to the first label on the screen; last: from the end of "
    "speech to the last label, medians over utterances. More: the same minus the dense model's, utterance by "
    "utterance. Waiting: what is left of a delay on a machine that takes no time: pieces, segments, look-ahead, and"
    " how late the model says what it knows. Slowest piece: its computation over its length; above 1 the text falls"
    " behind. Kept: the most bytes between two pieces; later: the most in the second half of an utterance over that"
    " in the first, 1 where memory does not grow. MB: of the files; int8: their matrices, by ONNX Runtime's own "
    "quantiser. Without: utterances without any label. ONNX Runtime, one thread, dev utterances."
)


def view(tables: views.Tables) -> list[Grid]:
    """By model: its delays, time and memory, dense and pruned."""
    grids = []
    for (corpus, model), members in views.grouped(tables["streaming"], "corpus", "model").items():
        wer = rates.rate(tables, corpus)("WER")

        def cells(row: Row, wer: str = wer) -> list[tuple[str, Cell]]:
            return [
                (f"{wer}, dev (%)", measure(row, "wer", 1, interval=True)),
                ("First (s)", measure(row, "first_s", 2, interval=True)),
                ("More", measure(row, "first_s_more", 3, interval=True)),
                ("Waiting", measure(row, "first_waited_s", 2)),
                ("Last (s)", measure(row, "last_s", 2, interval=True)),
                ("More, last", measure(row, "last_s_more", 3, interval=True)),
                ("Waiting, last", measure(row, "last_waited_s", 2)),
                ("Slowest piece", measure(row, "slowest_piece", 3)),
                ("RTF", measure(row, "rtf", None, interval=True)),
                ("Over dense", measure(row, "ratio", 2, interval=True)),
                ("MB", measure(row, "bytes", 2, 1e-6)),
                ("Kept (kB)", measure(row, "late_bytes", 1, 1e-3)),
                ("Later", measure(row, "growth", 3)),
                ("Without", measure(row, "silent", 0)),
            ]

        shown = [row | {"growth": _growth(row)} for row in members]
        title = f"Streaming, {model}, {views.named(tables, corpus)}"
        grid = pivot(title, shown, ("system", "utterances"), cells, keep=("system",))
        dense = members[0]
        pieces = f"Pieces of {dense['milliseconds']} ms; the dense model waits for {float(dense['latency']):.2f} s."
        text = f"{NOTE} {pieces} {views.INTERVALS} {soundness(members)}"
        grids.append(replace(grid, caption=f"{rates.rate(tables, corpus)(text)} {views.speech(tables, corpus)}"))
    return grids


def _growth(row: Row) -> str:
    early, late = row["early_bytes"], row["late_bytes"]
    return str(float(late) / float(early)) if early and late else ""
