"""Self-supervised encoders."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.reporting.figure import Figure
from secateur.reporting.results import files_of
from secateur.reporting.table import Table
from secateur.ssl import study as upstreams


def scores(config: Mapping[str, Any]) -> Iterator[str]:
    yield from (run.scores for _, run in upstreams.runs(config))
    yield from shapes(config)


def shapes(config: Mapping[str, Any]) -> Iterator[str]:
    return files_of((run for _, run in upstreams.trained(config)), "config.json")


def speeds(config: Mapping[str, Any]) -> Iterator[str]:
    for entry in config["ssl"]:
        for seed in config["seeds"]:
            yield from (upstreams.speed_file(entry["name"], seed, base) for base in upstreams.sizes(entry))
    yield from files_of((run for _, run in upstreams.trained(config)), "run.json", "config.json")


def gates(config: Mapping[str, Any]) -> Iterator[str]:
    pruned = (run for entry, run in upstreams.runs(config) if upstreams.pruned(entry, run))
    return files_of(pruned, "gates.tsv")


def evidence_files(config: Mapping[str, Any]) -> Iterator[str]:
    """What the claims about encoders are made of."""
    yield from scores(config)
    yield from speeds(config)


TABLES = (
    Table(
        name="superb",
        title="Tasks on frozen encoders",
        caption=(
            "What tasks say of self-supervised encoders with frozen weights, and the score (Eq. 6 of S4) over them: "
            "on SUPERB's fixed scale where all its tasks are run on its data, else on the study's own."
        ),
        section="upstreams",
        columns="secateur.ssl.tables:SCORES_COLUMNS",
        rows="secateur.ssl.tables:scores",
        files=scores,
        view="secateur.ssl.reading:view",
        order=10,
    ),
    Table(
        name="structured",
        title="What structured pruning leaves",
        caption="Parameters, arithmetic and speed of encoders after structured pruning.",
        section="upstreams",
        columns="secateur.ssl.tables:STRUCTURED_COLUMNS",
        rows="secateur.ssl.tables:structured",
        files=speeds,
        view="secateur.ssl.reading:structured_view",
        order=20,
    ),
    Table(
        name="gates",
        title="Gates in training",
        caption=(
            "Mean gates of attention and feed-forward blocks, sparsity, target and multipliers over the "
            "training of pruned encoders."
        ),
        section="upstreams",
        columns="secateur.ssl.tables:GATES_COLUMNS",
        rows="secateur.ssl.tables:gates",
        files=gates,
    ),
    Table(
        name="blocks",
        title="What is left of every layer",
        caption="Parameters that are left of every layer's attention and feed-forward block.",
        section="upstreams",
        columns="secateur.ssl.tables:BLOCKS_COLUMNS",
        rows="secateur.ssl.tables:blocks",
        files=shapes,
    ),
)

FIGURES = (
    Figure(
        name="superb",
        title="Score over tasks by size",
        caption=(
            "Each point is an encoder with frozen weights: its score over the tasks (Eq. 6) against its parameters; "
            "the best are at the upper left. SUPERB's score has 0 for FBANK and 1000 for WavLM Large. A study's own "
            "score has 0 for log-mel features and 1000 for the teacher, and leaves out tasks in which the teacher is "
            "not better beyond chance. The uncertainty of each task is in the table."
        ),
        section="upstreams",
        draw="secateur.ssl.plots:superb",
        tables=("superb", "structured"),
        order=10,
    ),
    Figure(
        name="gates",
        title="Gates in training",
        caption=(
            "Mean of the gates on attention and on feed-forward blocks, as they would be at inference, and "
            "the expected sparsity with its target. A block whose gate is 0 is removed. One line a student "
            "and seed."
        ),
        section="upstreams",
        draw="secateur.ssl.plots:gates",
        tables=("gates",),
        order=20,
    ),
    Figure(
        name="blocks",
        title="What is left of every layer",
        caption=(
            "Parameters of the attention and the feed-forward block of each layer of the encoder, with "
            "biases, after pruning; the teacher has all."
        ),
        section="upstreams",
        draw="secateur.ssl.plots:blocks",
        tables=("blocks",),
        order=30,
    ),
)
