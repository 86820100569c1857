"""What the figures share: style, colours, panels, points with intervals, names, the legend; and the job that draws."""

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from secateur.core.files import written_aside
from secateur.reporting import figure as specs
from secateur.reporting.grid import Cell, Row, combined, label, measure
from secateur.reporting.registry import resolve
from secateur.reporting.table import read_tables
from secateur.reporting.views import by_corpus, synthetic

Tables = Mapping[str, Sequence[Row]]

STYLE = {
    "svg.hashsalt": "secateur",
    "svg.fonttype": "path",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.1,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#333333",
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
}
MARKERS = "osD^vPX*<>"
WIDTH = 8.6
PANEL_HEIGHT = 3.1
NARROW = 3
"""Panels of which this many stand side by side are narrow: a single one does not take all of the width."""
TIP = "tip:"
"""How the ids of points begin while they are drawn."""
LINE_LENGTH = 110
"""Characters that fit across a figure."""


class NothingToShow(Exception):
    """The tables lack what a figure needs; the message says what."""


def write_figures(tables: str | Path, folder: str | Path) -> None:
    """Draw every figure from the tables in the folder `tables`, as `folder/{name}.svg`."""
    rows = read_tables(tables)
    for figure in specs.figures():
        write_figure(figure, rows, Path(folder) / figure.file)


def write_figure(spec: specs.Figure, tables: Tables, path: str | Path) -> None:
    """Draw a figure to `path` as SVG: the same tables give the same bytes.

    Where the tables lack what the figure needs, the picture is a line of text that says what is missing, and its
    description is `EMPTY`.
    """
    draw, given = resolve(spec.draw), {name: tables[name] for name in spec.tables}
    with sns.axes_style("whitegrid"), plt.rc_context(STYLE):
        try:
            picture, about = draw(given), {}
        except NothingToShow as reason:
            picture, about = plt.figure(figsize=(WIDTH, 0.6)), {"Description": specs.EMPTY}
            picture.text(0.01, 0.5, f"{specs.EMPTY}: {reason}.", va="center", color="#555555")
        machines = [corpus for corpus in by_corpus(tables["corpora"]) if synthetic(tables, corpus)]
        if machines:
            text = f"Synthetic speech: {', '.join(machines)}"
            picture.suptitle(text, x=0.995, ha="right", color="#b3261e", fontsize=9, fontweight="bold")
        with written_aside(path) as aside:
            picture.savefig(aside, format="svg", metadata={"Date": None} | about)
            Path(aside).write_bytes(_told(Path(aside).read_bytes()))
        plt.close(picture)


def panels(
    count: int, columns: int = 2, height: float = PANEL_HEIGHT, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, at most `columns` to a line, and no line much emptier than the others."""
    lines = -(-count // columns)
    width = WIDTH if count > 1 or columns < NARROW else WIDTH / 2
    columns = -(-count // lines)
    figure, grid = plt.subplots(lines, columns, figsize=(width, 0.5 + height * lines), sharey=sharey, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def point(ax: Axes, x: float, cell: Cell, colour: tuple, marker: str, about: str = ""):
    """A point with its interval, or with ± its deviation over seeds; the page tells these, and what it is `about`."""
    below, above = 0.0, 0.0
    if cell.deviation is not None:
        below = above = cell.deviation
    elif cell.low is not None and cell.high is not None:
        below, above = cell.value - cell.low, cell.high - cell.value
    drawn = ax.errorbar(
        *([x], [cell.value], [[below], [above]]), fmt=marker, color=colour, markersize=5.5, capsize=0, elinewidth=1.4
    )
    if cell.value is not None:
        drawn[0].set_gid(TIP + ": ".join(filter(None, (about, str(cell)))))
    return drawn


def _told(picture: bytes) -> bytes:
    """An SVG file in which each point has a title, which browsers show: its value."""
    return re.sub(rb"<g id=([\"'])" + TIP.encode() + rb"(.*?)\1>", rb'<g class="tip"><title>\2</title>', picture)


def cell(rows: Sequence[Row], column: str, **chosen: str) -> Cell:
    """The number of the rows with these values of their axes, seeds combined."""

    def value(row: Row, axis: str) -> str:
        return {"search": search_name, "point": point_name}.get(axis, lambda row: row[axis])(row)

    matching = [row for row in rows if all(value(row, axis) == wanted for axis, wanted in chosen.items())]
    return combined([measure(row, column, interval=True) for row in matching])


def model_name(row: Row, corpus: bool = False) -> str:
    scope = "each" if row["scope"] == row["language"] else row["scope"]
    trained = {"all": "multilingual", "each": "monolingual"}.get(scope) or f"trained on {label('scope', scope)}"
    name = f"{row['model']}, {trained}"
    return f"{row['corpus']}: {name}" if corpus else name


def point_name(row: Row) -> str:
    name = model_name(row)
    return name if row["language"] == "avg" else f"{name}, {row['language']}"


def search_name(row: Row) -> str:
    return row["search"] if row["lm"] == "none" else f"{row['search']} (LM: {row['lm']})"


def palette(count: int) -> list[tuple]:
    """Colours that colour-blind readers tell apart."""
    return sns.color_palette("colorblind", max(count, 1))[:count]


def label_left(axes: Sequence[Axes], text: str) -> None:
    for ax in axes[::2]:
        ax.set_ylabel(text)


def plain_log(ax: Axes) -> None:
    """A logarithmic horizontal axis with plain numbers at 1, 2 and 5."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, below them."""
    entries: dict[str, object] = {}
    for ax in axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(name, handle)
    columns = max(1, min(len(entries), LINE_LENGTH // (max(map(len, entries)) + 8)))
    figure.set_figheight(figure.get_figheight() + 0.2 * -(-len(entries) // columns))
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns)


def blocks(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by dense model and corpus, under a title that names what differs."""
    groups = grouped(rows, lambda row: (row["model"], row["corpus"]))
    shown = 0 if len(groups) < 2 else 1 if len({corpus for _, corpus in groups}) < 2 else 2
    return {", ".join(key[:shown]): members for key, members in groups.items()}


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """Rows by `key`, in order."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def small_title(ax: Axes, text: str, width: int) -> None:
    """A small title, broken into lines of at most `width` characters."""
    ax.set_title("\n".join(textwrap.wrap(text, width, break_on_hyphens=False)), fontsize=9)


def percent(share: float | str) -> str:
    """A share in percent, not to be broken."""
    return f"{100 * float(share):g}\N{NO-BREAK SPACE}%"
