"""What every model costs, how it was trained, and which jobs ran when, where and with which versions."""

from collections.abc import Iterator
from typing import Any

from secateur.overview.decodings import DECODING_AXES, decoding_axes
from secateur.overview.study import lm_runs
from secateur.pruning import tables as pruning
from secateur.reporting import views
from secateur.reporting.grid import Cell, Grid, measure, pivot
from secateur.reporting.results import MODEL_AXES, SIZES_FILE, Results
from secateur.ssl import study as upstreams
from secateur.study.runs import decodings, lm_folder, model_runs

Row = dict[str, Any]

SIZES = ("parameters", "nonzero", "bytes", "macs_per_second", "peak_memory", "algorithmic_latency")
LOSSES = ("step", "train_loss", "dev_loss", "learning_rate", "grad_norm", "utterances", "seconds")
RECORDED = ("steps", "seconds", "cpu_seconds", "started", "host", "processor", "threads", "device", "git", "versions")
SIZE_COLUMNS = (*MODEL_AXES, *SIZES, "sparse_bytes", "source")
HISTORY_COLUMNS = ("stage", *MODEL_AXES, *LOSSES, "source")
RUNS_COLUMNS = ("stage", *DECODING_AXES, *RECORDED, "total_steps", "source")


def size(results: Results) -> Iterator[Row]:
    """What each model costs.

    The algorithmic latency is empty where a model hears the whole utterance first, the sparse bytes without masks.
    """
    for run in model_runs(results.config):
        sizes = results.size(run, *SIZES)
        values = {column: sizes[column] for column in SIZES} | {"sparse_bytes": sizes.get("sparse_bytes")}
        yield {**results.axes(run), **values, "source": SIZES_FILE}


def history(results: Results) -> Iterator[Row]:
    """The training histories of all models and language models."""
    for stage, axes, folder in trainings(results):
        source = f"{folder}/history.tsv"
        for row in results.tsv(source, "step", "train_loss"):
            yield {"stage": stage, **axes, **{column: row.get(column) for column in LOSSES}, "source": source}


def runs(results: Results) -> Iterator[Row]:
    """Who ran what when, on which machine, with which versions: the `run.json` of every training and decoding.

    `steps` are those of the run itself, `total_steps` also those of all that a model is made from.
    """
    totals = {run.folder: pruning.total_steps(results.config, run) for run in model_runs(results.config)}
    totals |= upstreams.totals(results.config)
    for stage, axes, folder in trainings(results):
        yield {"stage": stage, **axes, **_recorded(results, folder), "total_steps": totals.get(folder)}
    for decoding in decodings(results.config):
        yield {"stage": "decode", **decoding_axes(results, decoding), **_recorded(results, decoding.folder)}


def trainings(results: Results) -> Iterator[tuple[str, Row, str]]:
    """Stage, axes and folder of every training: models, the language models that decodings use, and upstreams."""
    for run in model_runs(results.config):
        yield "model", results.axes(run), run.folder
    for corpus, lm, seed in lm_runs(results.config):
        yield "lm", {"corpus": corpus, "model": lm, "scope": "all", "seed": seed}, lm_folder(corpus, lm, seed)
    for axes, folder in upstreams.trainings(results.config):
        yield "upstream", axes, folder


def _recorded(results: Results, folder: str) -> Row:
    source = f"{folder}/run.json"
    record = results.json(source, "seconds", "started", "host")
    versions = "; ".join(f"{name} {version}" for name, version in sorted(record.get("versions", {}).items()))
    return {**{column: record.get(column) for column in RECORDED}, "versions": versions, "source": source}


def size_view(tables: views.Tables) -> list[Grid]:
    headings = {
        "parameters": ("Parameters (M)", 1e-6),
        "nonzero": ("Not zero (M)", 1e-6),
        "bytes": ("File (MB)", 1e-6),
        "sparse_bytes": ("Sparse file (MB)", 1e-6),
        "macs_per_second": ("MMAC per s of speech", 1e-6),
        "peak_memory": ("Peak memory (MB)", 1e-6),
        "algorithmic_latency": ("Algorithmic latency (s)", 1),
    }
    streaming = (
        "Algorithmic latency: seconds of speech that streaming waits for on any machine, a segment and its look-ahead; "
        "–: the model hears the whole utterance first."
    )
    sparse = "Sparse file: the bits of all masks of a model, and the weights that one of them keeps."
    grids = []
    for corpus, rows in views.by_corpus(tables["size"]).items():

        def cells(row: Row) -> list[tuple[str, Cell]]:
            known = ((column, *heading) for column, heading in headings.items() if row[column])
            return [(heading, measure(row, column, scale=scale)) for column, heading, scale in known]

        grid = pivot(
            f"Size of the models, {views.named(tables, corpus)}", rows, views.MODEL_INDEX, cells, keep=("model",)
        )
        grids.append(
            views.captioned(
                *(grid, tables, corpus, rows),
                streaming if any(row["algorithmic_latency"] for row in rows) else "",
                sparse if any(row["sparse_bytes"] for row in rows) else "",
            )
        )
    return grids
