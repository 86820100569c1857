"""The figures of head pruning: time and errors by share of heads, what language models cost, which heads matter."""

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from secateur.decoding.timing import AGAIN
from secateur.heads.policies import POLICIES
from secateur.heads.tables import WHOLE, blocks
from secateur.layers.tables import averaged
from secateur.reporting import drawing
from secateur.reporting.drawing import NothingToShow, Tables
from secateur.reporting.grid import Cell, Row, combined, measure
from secateur.reporting.rates import rate
from secateur.reporting.views import main_split

MILLISECONDS = 1000.0


def heads(tables: Tables) -> Figure:
    """Time and error rate by the share of heads removed, one line a policy: two panels a model and search."""
    rows = [row for row in tables["heads"] if row["split"] == main_split(tables) and row["policy"] != AGAIN]
    groups = blocks(rows)
    if not groups:
        raise NothingToShow("the study removes no heads")
    panels = [
        (f"{model}, {search}", averaged(members), column, name, scale)
        for (_, model, search), members in groups.items()
        for column, name, scale in (
            ("total_s", "Milliseconds an utterance", MILLISECONDS),
            ("wer", rate(tables)("Average word error rate (%)"), 1.0),
        )
        if any(row[column] for row in members)
    ]
    figure, axes = drawing.panels(len(panels))
    for ax, (title, members, column, name, scale) in zip(axes, panels, strict=True):
        _by_share(ax, members, column, scale)
        drawing.small_title(ax, title, 50)
        ax.set(xlabel="Share of heads removed (%)", ylabel=name, ylim=(0, None))
        sns.despine(ax=ax)
    drawing.legend(figure, axes)
    return figure


def _by_share(ax: Axes, rows: Sequence[Row], column: str, scale: float) -> None:
    first = next((row["importance"] for row in rows if row["policy"] != WHOLE), "")
    lines = drawing.grouped(
        (row for row in rows if row["policy"] != WHOLE), lambda row: (row["importance"], row["policy"])
    )
    others = list(dict.fromkeys(importance for importance, _ in lines if importance != first))
    policies = POLICIES.names()
    colours = drawing.palette(len(policies) + len(others))
    whole = _cell([row for row in rows if row["policy"] == WHOLE], column, scale)
    for number, ((importance, policy), members) in enumerate(lines.items()):
        mine = importance == first
        colour = colours[policies.index(policy) if mine else len(policies) + others.index(importance)]
        shift = 0.9 * (number - (len(lines) - 1) / 2)
        for trained in (False, True):
            chosen = [row for row in members if (row["recovery"] == "true") == trained]
            shares = sorted({float(row["share"]) for row in chosen})
            cells = [_cell([row for row in chosen if float(row["share"]) == share], column, scale) for share in shares]
            places = [100 * share + shift for share in shares]
            name = policy if mine else f"{policy}, {importance}"
            if trained:
                if column != "wer" or not shares:
                    continue
                style, marker, name = "none", "D", f"{name}, trained on"
            else:
                places, cells = [0.0, *places], [whole, *cells]
                style, marker = "-" if mine else "--", drawing.MARKERS[number % len(drawing.MARKERS)]
                ax.plot(places, [cell.value for cell in cells], style, color=colour, linewidth=1.1)
            for place, cell in zip(places, cells, strict=True):
                if cell.value is not None:
                    drawing.point(ax, place, cell, colour, marker, f"{name}, {place:.0f} %")
            ax.plot([], [], marker, color=colour, linestyle=style, label=name)


def lm(tables: Tables) -> Figure:
    """Perplexity against time, and error rate against time, one point a language model: two panels a model."""
    rows = [row for row in tables["lm"] if row["split"] == main_split(tables) and row["lm"] != AGAIN]
    rows = averaged(rows)
    groups = drawing.grouped(rows, lambda row: (row["corpus"], row["model"]))
    if not groups:
        raise NothingToShow("the study compares no language models")
    figure, axes = drawing.panels(2 * len(groups))
    for place, ((_, model), members) in enumerate(groups.items()):
        names = list(dict.fromkeys(row["lm"] for row in members))
        colours = dict(zip(names, drawing.palette(len(names)), strict=True))
        for ax, column, label in zip(
            axes[2 * place : 2 * place + 2],
            ("perplexity", "wer"),
            ("Perplexity by token", rate(tables)("Average word error rate (%)")),
            strict=True,
        ):
            for number, name in enumerate(names):
                chosen = [row for row in members if row["lm"] == name]
                x, y = _cell(chosen, "total_s", MILLISECONDS), _cell(chosen, column, 1.0)
                marker = drawing.MARKERS[number % len(drawing.MARKERS)]
                if y.value is not None and x.value is not None:
                    drawing.point(ax, x.value, y, colours[name], marker, f"{name}, {x.number} ms")
                    ax.errorbar([x.value], [y.value], xerr=_ends(x), fmt="none", color=colours[name], elinewidth=1.4)
                parameters = chosen[0]["parameters"]  # none, where there is no language model
                size = f", {float(parameters) / 1e6:.2f}M parameters" if parameters else ""
                ax.plot([], [], marker, color=colours[name], label=f"{name}{size}")
            drawing.small_title(ax, model, 50)
            ax.set(xlabel="Milliseconds an utterance", ylabel=label, xlim=(0, None), ylim=(0, None))
            sns.despine(ax=ax)
    drawing.legend(figure, axes)
    return figure


def importance(tables: Tables) -> Figure:
    """Heatmaps of the importance of heads, by layer and number: one panel a model and block."""
    rows = tables["importance"]
    if not rows:
        raise NothingToShow("the study removes no heads")
    seed = rows[0]["seed"]
    rows = [row for row in rows if row["importance"] == "gradient" and row["seed"] == seed]
    models = drawing.grouped(rows, lambda row: (row["corpus"], row["model"]))
    shown = [
        (f"{model}: {block}", members, max(float(row["value"]) for row in found) or 1.0)
        for (_, model), found in models.items()
        for block, members in drawing.grouped(found, lambda row: row["block"]).items()
    ]
    figure, axes = drawing.panels(len(shown), columns=3, height=2.6)
    for ax, (title, members, largest) in zip(axes, shown, strict=True):
        layers, heads = ([int(row[axis]) for row in members] for axis in ("layer", "head"))
        values = np.full((max(layers), max(heads)), np.nan)
        for layer, head, row in zip(layers, heads, members, strict=True):
            values[layer - 1, head - 1] = float(row["value"]) / largest
        image = ax.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto", origin="lower")
        image.axes.set_xticks(range(max(heads)), range(1, max(heads) + 1))
        ax.set_yticks(range(max(layers)), range(1, max(layers) + 1))
        if max(layers) > 12:
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.tick_params(labelsize=7)
        ax.grid(visible=False)
        drawing.small_title(ax, title, 34)
        ax.set(xlabel="Head", ylabel="Layer")
    bar = figure.colorbar(axes[0].images[0], ax=axes, shrink=0.7, aspect=30)
    bar.set_label("Importance, share of the largest")
    return figure


def _cell(rows: Sequence[Row], column: str, scale: float) -> Cell:
    """The number of some rows, seeds combined."""
    return combined([measure(row, column, None, scale, interval=True) for row in rows])


def _ends(cell: Cell) -> list[list[float]] | None:
    """How far a cell's interval or deviation reaches to both sides."""
    if cell.deviation is not None:
        return [[cell.deviation], [cell.deviation]]
    return None if cell.low is None or cell.high is None else [[cell.value - cell.low], [cell.high - cell.value]]
