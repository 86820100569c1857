"""The figures of layers: error rate and time by depth, how alike layers are, the loss of late regularisers."""

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from secateur.decoding.timing import AGAIN
from secateur.layers.strategies import STRATEGIES
from secateur.layers.tables import TRAINED, WHOLE, WITH, averaged, shown_pairs
from secateur.reporting import drawing
from secateur.reporting.drawing import NothingToShow, Tables
from secateur.reporting.grid import Row
from secateur.reporting.rates import rate
from secateur.reporting.views import main_split

BLACK = "#222222"
ALONE = {TRAINED: ("D", "trained alone at that depth"), WITH: ("P", "trained alone, with regularisers")}
"""Markers and labels of models that were trained at a depth by themselves."""


def depth(tables: Tables) -> Figure:
    """Error rate by depth, one line a strategy, and beside it the real-time factor by depth; one line a model."""
    rows = [row for row in tables["layers"] if row["split"] == main_split(tables)]
    blocks = drawing.grouped(rows, lambda row: (row["corpus"], row["model"], row["search"]))
    if not blocks:
        raise NothingToShow("the study prunes no layers")
    figure, axes = drawing.panels(2 * len(blocks))
    for place, ((corpus, model, search), members) in enumerate(blocks.items()):
        left, right = axes[2 * place : 2 * place + 2]
        _rates(left, averaged(members))
        drawing.small_title(left, f"{model}, {search}", 50)
        left.set(ylabel=rate(tables)("Average word error rate (%)"))
        timed = [row for row in tables["depth_rtf"] if (row["corpus"], row["model"]) == (corpus, model)]
        timed = [row for row in timed if row["measured_model"] != AGAIN]
        _times(right, [row for row in timed if row["search"] == search], model)
        drawing.small_title(right, f"{model}, {search}: time", 50)
        right.set(ylabel="Real-time factor", ylim=(0, None))
        for ax in (left, right):
            ax.set(xlabel="Layers kept")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            sns.despine(ax=ax)
    drawing.legend(figure, axes)
    return figure


def _rates(ax: Axes, rows: Sequence[Row]) -> None:
    strategies = STRATEGIES.names()
    colours = dict(zip(strategies, drawing.palette(len(strategies)), strict=True))
    whole = [row for row in rows if row["strategy"] == WHOLE]
    for number, strategy in enumerate([*strategies, TRAINED, WITH]):
        members = [row for row in rows if row["strategy"] == strategy]
        depths = sorted({int(row["depth"]) for row in members})
        if not depths:
            continue
        colour = colours.get(strategy, BLACK)
        shift = 0.06 * (number - len(strategies) / 2)
        cells = [drawing.cell(members, "wer", depth=str(depth)) for depth in depths]
        places = [depth + shift for depth in depths]
        if strategy not in ALONE:
            cells.append(drawing.cell(whole, "wer"))
            places.append(int(whole[0]["depth"]))
            ax.plot(places, [cell.value for cell in cells], color=colour, linewidth=1.1)
        marker = ALONE[strategy][0] if strategy in ALONE else drawing.MARKERS[number % len(drawing.MARKERS)]
        for place, cell in zip(places, cells, strict=True):
            drawing.point(ax, place, cell, colour, marker, f"{strategy}, {place:.0f} layers")
        name = ALONE[strategy][1] if strategy in ALONE else strategy
        ax.plot([], [], marker, color=colour, linestyle="none" if strategy in ALONE else "-", label=name)


def _times(ax: Axes, rows: Sequence[Row], model: str) -> None:
    for device, members in drawing.grouped(rows, lambda row: row["device"]).items():
        for mine, style in ((True, "o"), (False, "D")):
            chosen = [row for row in members if (row["measured_model"] == model) == mine]
            depths = sorted({int(row["depth"]) for row in chosen})
            cells = [drawing.cell(chosen, "rtf", depth=str(depth)) for depth in depths]
            colour = BLACK if not mine else drawing.palette(6)[5] if device == "cpu" else drawing.palette(4)[3]
            for depth, cell in zip(depths, cells, strict=True):
                drawing.point(ax, depth, cell, colour, style, f"{device}, {depth} layers: real-time factor")
            if depths and mine:
                ax.plot(depths, [cell.value for cell in cells], color=colour, label=f"time on the {device}")


def similarity(tables: Tables) -> Figure:
    """Heatmaps of SVCCA between all layers: within each model, and between the first model and each other one."""
    rows = shown_pairs(tables["svcca"])
    if not rows:
        raise NothingToShow("the study compares no layers")
    pairs = drawing.grouped(rows, lambda row: (row["model_a"], row["model_b"]))
    shown = sorted(pairs, key=lambda pair: pair[0] != pair[1])
    figure, axes = drawing.panels(len(shown), columns=3, height=2.7)
    for ax, (a, b) in zip(axes, shown, strict=True):
        values = _matrix(pairs[a, b], a == b)
        sns.heatmap(values, vmin=0, vmax=1, cmap="viridis", square=True, cbar=False, ax=ax, rasterized=True)
        drawing.small_title(ax, a if a == b else f"{a} × {b}", 34)
        ax.invert_yaxis()
        ax.tick_params(labelsize=7, rotation=0)
        ax.set(xlabel="Layer" if a == b else f"Layer of {b}", ylabel="Layer" if a == b else f"Layer of {a}")
        ax.xaxis.label.set_size(8)
        ax.yaxis.label.set_size(8)
    bar = figure.colorbar(axes[0].collections[0], ax=axes, shrink=0.6, aspect=30)
    bar.set_label("SVCCA similarity")
    return figure


def _matrix(rows: Sequence[Row], symmetric: bool) -> np.ndarray:
    """The values of all pairs of layers; of one model, each pair stands in the table once."""
    sizes = [1 + max(int(row[f"layer_{side}"]) for row in rows) for side in "ab"]
    values = np.full(sizes, np.nan)
    for row in rows:
        a, b = int(row["layer_a"]), int(row["layer_b"])
        values[a, b] = float(row["value"])
        if symmetric:
            values[b, a] = values[a, b]
    return values


def late(tables: Tables) -> Figure:
    """Losses while regularisers are brought in: one row of panels a model, one line a variant.

    On the left the loss of the training data, with intermediate CTC; on the right that of the dev data by the last
    layer alone. All variants see the same batches.
    """
    variants = [row for row in averaged(tables["finetune"]) if row["schedule"]]
    if not variants:
        raise NothingToShow("the study brings in no regularisers late")
    split = main_split(tables)
    blocks = drawing.grouped(
        (row for row in variants if row["split"] == split), lambda row: (row["corpus"], row["model"])
    )
    figure, axes = drawing.panels(2 * len(blocks), columns=2, height=3.6)
    for left, right, ((corpus, model), members) in zip(axes[::2], axes[1::2], blocks.items(), strict=True):
        names = list(dict.fromkeys(row["variant"] for row in members))
        colours = dict(zip(names, drawing.palette(len(names)), strict=True))
        for row in {(row["variant"], row["seed"]): row for row in members}.values():
            axes_of = (corpus, model, f"late-{row['variant']}", row["seed"])
            history = [
                other
                for other in tables["history"]
                if tuple(other.get(axis) for axis in ("corpus", "model", "method", "seed")) == axes_of
                and other["dev_loss"]
            ]
            steps = [int(other["step"]) for other in history]
            dev = [float(other["dev_loss"]) for other in history]
            style = {"marker": "o", "markersize": 3.5, "color": colours[row["variant"]]}
            style["label"] = f"{row['variant']}: {row['regulariser']}, {row['schedule']}"
            left.plot(steps, [float(other["train_loss"]) for other in history], **style)
            right.plot([0, *steps], [float(row["initial_loss"]), *dev], **style)
        right.axhline(float(members[0]["initial_loss"]), color=BLACK, linestyle=":", label="before")
        jumped = [float(row["regularised_loss"]) for row in members if row["regulariser"] != "none"]
        right.plot([0] * len(jumped), jumped, "x", color=BLACK, label="regularised, at full weight")
        left.set(xlabel="Training step", ylabel="Training loss, all layers that have one")
        right.set(xlabel="Training step", ylabel="Loss of the dev data, last layer")
        for ax in (left, right):
            drawing.small_title(ax, model, 60)
            sns.despine(ax=ax)
    drawing.legend(figure, axes)
    return figure
