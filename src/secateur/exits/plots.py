"""The figure of early exit: error rate against depth, and against time, beside fixed depths."""

from collections.abc import Sequence

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from secateur.exits.points import FIXED, WHOLE
from secateur.reporting import drawing
from secateur.reporting.drawing import NothingToShow, Tables
from secateur.reporting.grid import Row, combined, measure
from secateur.reporting.rates import rate
from secateur.reporting.views import main_split

SEARCHED = "layers removed, by the search that does best"


def curve(tables: Tables) -> Figure:
    """Per model a row of panels: errors against the mean number of layers, and against the real-time factor."""
    split = main_split(tables)
    rows = [row for row in tables["exits"] if row["split"] == split]
    blocks = drawing.grouped(rows, lambda row: (row["corpus"], row["model"], row["search"]))
    if not blocks:
        raise NothingToShow("the study leaves no model early")
    figure, axes = drawing.panels(2 * len(blocks))
    for place, (axes_of, members) in enumerate(blocks.items()):
        left, right = axes[2 * place : 2 * place + 2]
        averaged = [row for row in members if row["language"] == "avg"] or members
        others = _sub_models(tables, axes_of, split)
        for ax, column, label in ((left, "mean_layers", "Mean number of layers"), (right, "rtf", "Real-time factor")):
            _lines(ax, averaged, column)
            _searched(ax, others, "depth" if column == "mean_layers" else "rtf")
            drawing.small_title(ax, f"{axes_of[1]}, {axes_of[2]}", 50)
            ax.set(xlabel=label, ylabel=rate(tables)("Average word error rate (%)"))
            sns.despine(ax=ax)
    drawing.legend(figure, axes)
    return figure


def _lines(ax: Axes, rows: Sequence[Row], column: str) -> None:
    """One line a measure, from point to point, and a line of the fixed exits; all end at the whole model."""
    names = list(dict.fromkeys(row["measure"] for row in rows if row["measure"] != WHOLE))
    whole = [row for row in rows if row["measure"] == WHOLE]
    for name, colour, marker in zip(names, drawing.palette(len(names)), drawing.MARKERS, strict=False):
        members = [row for row in rows if row["measure"] == name] + whole
        points = []
        for point, found in drawing.grouped(members, lambda row: row["point"]).items():
            x, y = (combined([measure(row, one, interval=one == "wer") for row in found]) for one in (column, "wer"))
            if x.value is not None:
                points.append((x.value, y.value))
                drawing.point(ax, x.value, y, colour, marker, f"{point}: {x.number} {column}")
        if points:
            style = ":" if name == FIXED else "-"
            ax.plot(*zip(*sorted(points), strict=True), style, marker=marker, color=colour, linewidth=1.1, label=name)


def _searched(ax: Axes, rows: Sequence[Row], column: str) -> None:
    """The sub-models that a search for layers found, where the study has them."""
    found = [(float(row[column]), float(row["wer"])) for row in rows if row[column]]
    if found:
        ax.plot(*zip(*sorted(found), strict=True), "x--", color="#666666", linewidth=0.9, label=SEARCHED)


def _sub_models(tables: Tables, axes: tuple[str, str, str], split: str) -> list[Row]:
    """Of every depth, the sub-model with the fewest errors on average."""
    rows = [
        row
        for row in tables["layers"]
        if (row["corpus"], row["model"], row["search"]) == axes and row["split"] == split and row["layers_kept"]
    ]
    averaged = [row for row in rows if row["language"] == "avg"] or rows
    depths = drawing.grouped(averaged, lambda row: row["depth"])
    return [min(members, key=lambda row: float(row["wer"])) for members in depths.values()]
