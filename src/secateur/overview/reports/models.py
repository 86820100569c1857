"""Size and training of all models."""

from collections.abc import Mapping
from typing import Any

from secateur.overview.study import training_folders
from secateur.reporting.figure import Figure
from secateur.reporting.results import SIZES_FILE, files_of
from secateur.reporting.table import Table
from secateur.study.runs import decodings


def sizes(config: Mapping[str, Any]) -> list[str]:
    return [SIZES_FILE]


def histories(config: Mapping[str, Any]) -> list[str]:
    return [*(f"{folder}/history.tsv" for folder in training_folders(config)), SIZES_FILE]


def records(config: Mapping[str, Any]) -> list[str]:
    trained = [f"{folder}/run.json" for folder in training_folders(config)]
    return [*trained, *files_of(decodings(config), "run.json"), SIZES_FILE]


TABLES = (
    Table(
        name="size",
        title="Size of the models",
        caption=(
            "Parameters, those that are not zero, bytes of the file and, where there are masks, of a sparse one, "
            "multiply–accumulates per second of speech, "
            "peak memory in bytes and, of models that can stream, the algorithmic latency in seconds, one "
            "row per model and seed."
        ),
        section="size",
        columns="secateur.overview.models:SIZE_COLUMNS",
        rows="secateur.overview.models:size",
        files=sizes,
        view="secateur.overview.models:size_view",
        order=10,
    ),
    Table(
        name="history",
        title="Losses during training",
        caption=(
            "Training histories of all models and language models: loss, development loss, learning rate "
            "and gradient norm by step."
        ),
        section="training",
        columns="secateur.overview.models:HISTORY_COLUMNS",
        rows="secateur.overview.models:history",
        files=histories,
        order=10,
    ),
    Table(
        name="runs",
        title="Jobs",
        caption=(
            "One row per training and decoding: steps, seconds, date, host, processor, threads, device, git "
            "revision and versions."
        ),
        section="training",
        columns="secateur.overview.models:RUNS_COLUMNS",
        rows="secateur.overview.models:runs",
        files=records,
        order=20,
    ),
)

FIGURES = (
    Figure(
        name="loss",
        title="Loss during training",
        caption=(
            "Training loss (thin) and loss on the development set (thick, with points) by training step; "
            "one line for each seed. A development loss that rises while the training loss falls is "
            "over-fitting; a curve that still falls at its end had too small a budget. Losses of different "
            "kinds of models are not comparable."
        ),
        section="training",
        draw="secateur.overview.plots:loss",
        tables=("history",),
    ),
)
