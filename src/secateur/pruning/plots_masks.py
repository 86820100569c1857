"""The figures of masks: one function per figure, from its rows."""

import re
from collections.abc import Mapping, Sequence
from statistics import fmean

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from secateur.pruning import looks, methods
from secateur.reporting import drawing
from secateur.reporting.drawing import NothingToShow, Tables
from secateur.reporting.grid import Row, label

Matrix = dict[tuple[str, str], float]
"""Numbers by line and column."""


def overlap(tables: Tables) -> Figure:
    """Intersection over union of masks, between languages at the target and between the levels of one language."""
    panels: list[tuple[str, Matrix]] = []
    for title, members in drawing.blocks(tables["masks"]).items():
        before = f"{title}: " if title else ""
        target = max(max(float(row["level"]), float(row["level_b"])) for row in members)
        between = [row for row in members if row["language_a"] != row["language_b"] and float(row["level"]) == target]
        shown = {methods.parse(row["method"]).name for row in between}
        for name, rows in drawing.grouped(between, looks.name).items():
            # The masks of fixed pathways are those of the method that made them, which may have one for all languages.
            parsed = methods.parse(rows[0]["method"])
            fixed = parsed.method.levels == methods.MASKS
            if not (fixed and (parsed.masks.name in shown or parsed.masks.scope == methods.ALL)):
                pairs = [(row["language_a"], row["language_b"], row["iou"]) for row in rows]
                panels.append((f"{before}{name}, {drawing.percent(target)}", _symmetric(pairs)))
        rounds = [row for row in members if row["language_a"] == row["language_b"] and "+" not in row["method"]]
        for name, rows in drawing.grouped(rounds, looks.name).items():
            language = rows[0]["language_a"]
            pairs = [
                (*(drawing.percent(row[key]) for key in ("level", "level_b")), row["iou"])
                for row in rows
                if row["language_a"] == language
            ]
            panels.append((f"{before}{name}, {label('scope', language)}", _symmetric(pairs)))
    if not panels:
        raise NothingToShow("no two masks of the study can be compared")
    figure, axes = drawing.panels(len(panels), columns=4, height=2.1)
    for ax, (title, matrix) in zip(axes, panels, strict=True):
        _heatmap(ax, matrix, low=0, high=1, numbers="{:.2f}")
        drawing.small_title(ax, title, 23)
        ax.set_aspect("equal")
    return figure


def matrix_sparsity(tables: Tables) -> Figure:
    """Sparsity of layers and of kinds of matrices at the target, in percent, by method."""
    blocks = drawing.blocks(tables["matrices"])
    if not blocks:
        raise NothingToShow("the study prunes no model")
    found: list[tuple[str, Matrix]] = []
    for title, members in blocks.items():
        target = max(float(row["level"]) for row in members)
        members = [row for row in members if float(row["level"]) == target]
        for place, name in enumerate(("by layer", "by kind of matrix")):
            groups = drawing.grouped(members, lambda row, place=place: (looks.name(row), _parsed(row["matrix"])[place]))
            shares = {key: _weighted(rows) for key, rows in groups.items()}
            found.append((", ".join(part for part in (title, drawing.percent(target), name) if part), shares))
    values = [100 * share for _, matrix in found for share in matrix.values()]
    widths = [len({column for _, column in matrix}) for _, matrix in found]
    heights = [len({line for line, _ in matrix}) for _, matrix in found]
    beside = max(left + right for left, right in zip(widths[::2], widths[1::2], strict=True)) <= 18
    if beside:
        shape = {"nrows": len(blocks), "ncols": 2, "width_ratios": [max(widths[::2]), max(widths[1::2])]}
        heights = heights[::2]
    else:
        shape = {"nrows": len(found), "ncols": 1}
    size = (drawing.WIDTH, 0.5 + sum(0.24 * height + 2.1 for height in heights))
    figure, grid = plt.subplots(**shape, figsize=size, height_ratios=heights, squeeze=False)
    for place, (ax, (title, matrix)) in enumerate(zip(grid.flat, found, strict=True)):
        shares = {key: 100 * share for key, share in matrix.items()}
        _heatmap(ax, shares, min(values), max(values), "{:.0f}", lines=not (beside and place % 2))
        ax.set_title(title, fontsize=9)
    return figure


def _weighted(rows: Sequence[Row]) -> float:
    """Sparsity of some matrices together."""
    weights = [float(row["weights"]) for row in rows]
    return sum(float(row["sparsity"]) * count for row, count in zip(rows, weights, strict=True)) / sum(weights)


def _parsed(matrix: str) -> tuple[str, str]:
    """Layer and kind of a matrix by its name in the model."""
    part, _, rest = matrix.partition(".")
    rest = rest.removesuffix(".weight")
    if found := re.search(r"(?:^|\.)(\d+)\.", rest):
        layer, kind = found[1], rest[found.end() :]
    elif found := re.search(r"_l(\d+)(?=$|_)", rest):
        layer, kind = found[1], rest[: found.start()] + rest[found.end() :]
    else:
        layer, kind = "", rest
    return f"{part} {layer}".strip(), kind if part == "encoder" else f"{part} {kind}"


def _heatmap(ax: Axes, matrix: Mapping[tuple[str, str], float], low: float, high: float, numbers: str, lines=True):
    """A matrix with its numbers written into it; `lines` says whether its lines are named."""
    names, columns = (list(dict.fromkeys(key[place] for key in matrix)) for place in (0, 1))
    values = [[matrix.get((name, column), float("nan")) for column in columns] for name in names]
    ax.pcolormesh(values, vmin=low, vmax=high, cmap="cividis", edgecolors="white", linewidth=0.6)
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if value == value:
                colour = "white" if value - low < 0.55 * (high - low) else "black"
                ax.text(x + 0.5, y + 0.5, numbers.format(value), ha="center", va="center", fontsize=7.5, color=colour)
    ax.set_xticks([place + 0.5 for place in range(len(columns))], columns, fontsize=8)
    if max(map(len, columns)) > 4:
        ax.tick_params(axis="x", rotation=90)
    ax.set_yticks([place + 0.5 for place in range(len(names))], names if lines else [""] * len(names), fontsize=8)
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.tick_params(length=0)
    sns.despine(ax=ax, left=True, bottom=True)


def _symmetric(pairs: Sequence[tuple[str, str, str]]) -> Matrix:
    """Both halves of a matrix from the pairs above its diagonal, which is 1; the mean where a pair occurs again."""
    names = list(dict.fromkeys(name for a, b, _ in pairs for name in (a, b)))
    matrix = {}
    for a in names:
        for b in names:
            values = [float(value) for one, other, value in pairs if {one, other} == {a, b}]
            if a == b or values:
                matrix[a, b] = 1.0 if a == b else fmean(values)
    return matrix
