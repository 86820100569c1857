"""The figures of the report: their titles, their captions, and the job that draws them from the tables.

A new figure is a function in `secateur.reporting.plots`, one entry in `FIGURES` with the same name, and its caption in
`workflow/report/` for `snakemake --report`. This module is light: the plotting libraries are imported when drawing.
"""

from dataclasses import dataclass
from pathlib import Path

from secateur.reporting.tables import read_tables


@dataclass(frozen=True)
class Figure:
    """A figure's name (of its file and of its function in `plots`), title, and how to read it."""

    name: str
    title: str
    caption: str


FIGURES = (
    Figure(
        "wer",
        "Word error rate by language",
        "Each point is the word error rate of one search; lower is better. Bars are 95 % bootstrap intervals over "
        "utterances, or ± one standard deviation where there are several seeds. avg is the unweighted mean over "
        "languages. Where two bars overlap widely, the test set does not tell the two apart.",
    ),
    Figure(
        "latency",
        "Where decoding time goes",
        "Seconds of decoding spent on each second of speech (the real-time factor), mean over languages, split into "
        "encoder, search and language model. A bar that ends left of 1 is faster than real time.",
    ),
    Figure(
        "tradeoff",
        "Word error rate against decoding time",
        "Each point is one model with one search, mean over languages: the best are at the lower left. The horizontal "
        "axis is logarithmic. Bars are 95 % bootstrap intervals, or ± one standard deviation over seeds.",
    ),
    Figure(
        "loss",
        "Loss during training",
        "Training loss (thin) and loss on the development set (thick, with points) by training step; one line for "
        "each seed. A development loss that rises while the training loss falls is over-fitting; a curve that still "
        "falls at its end had too small a budget. Losses of different kinds of models are not comparable.",
    ),
)


def write_figures(tables: str | Path, folder: str | Path) -> None:
    """Draw every figure of `FIGURES` from the tables in the folder `tables`, as `folder/{name}.svg`."""
    from secateur.reporting import plots

    rows = read_tables(tables)
    for figure in FIGURES:
        plots.write(figure.name, rows, Path(folder) / f"{figure.name}.svg")
