"""One function per figure, from tables to a matplotlib figure. It raises `NothingToShow` where data is missing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from secateur.files import written_aside
from secateur.reporting.grid import Cell, Row, combined, label, measure
from secateur.reporting.grid import figure as number
from secateur.reporting.views import averages, by_corpus, main_split, synthetic

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
LINE_LENGTH = 110
"""Characters that fit across a figure."""


class NothingToShow(Exception):
    """The tables lack what a figure needs; the message says what."""


def write(name: str, tables: Tables, path: str | Path) -> None:
    """Draw the figure `name` to `path` as SVG: the same tables give the same bytes.

    Where the tables lack what the figure needs, the picture is a line of text that says what is missing.
    """
    with sns.axes_style("whitegrid"), plt.rc_context(STYLE):
        try:
            drawing = globals()[name](tables)
        except NothingToShow as reason:
            drawing = plt.figure(figsize=(WIDTH, 0.6))
            drawing.text(0.01, 0.5, f"Nothing to show: {reason}.", va="center", color="#555555")
        machines = [corpus for corpus in by_corpus(tables["corpora"]) if synthetic(tables, corpus)]
        if machines:
            text = f"Synthetic speech: {', '.join(machines)}"
            drawing.suptitle(text, x=0.995, ha="right", color="#b3261e", fontsize=9, fontweight="bold")
        with written_aside(path) as aside:
            drawing.savefig(aside, format="svg", metadata={"Date": None})
        plt.close(drawing)


def wer(tables: Tables) -> Figure:
    """Points with intervals: language × search, one panel per corpus, dense model and scope."""
    rows = [row for row in tables["wer"] if row["method"] == "dense" and row["split"] == main_split(tables)]
    panels: dict[str, list[Row]] = {}
    for row in rows:
        panels.setdefault(_model_name(row, corpus=len(by_corpus(rows)) > 1), []).append(row)
    if not panels:
        raise NothingToShow("the study decodes no dense model")
    searches = list(dict.fromkeys(_search_name(row) for row in rows))
    colours = dict(zip(searches, _palette(len(searches)), strict=True))
    figure, axes = _panels(len(panels), sharey=True)
    for ax, (title, members) in zip(axes, panels.items(), strict=False):
        languages = sorted(dict.fromkeys(row["language"] for row in members), key=lambda code: code == "avg")
        for position, search in enumerate(searches):
            offset = (position - (len(searches) - 1) / 2) * 0.7 / max(len(searches), 2)
            for place, language in enumerate(languages):
                cell = _cell(members, "wer", language=language, search=search)
                if cell.value is not None:
                    point = _point(ax, place + offset, cell, colours[search], MARKERS[position % len(MARKERS)])
                    point.set_label(search if place == 0 else "_")
        if "avg" in languages:
            ax.axvspan(len(languages) - 1.5, len(languages) - 0.5, color="#f3f3f3", zorder=0)
        ax.set(title=title, xticks=range(len(languages)), xticklabels=languages, xlim=(-0.5, len(languages) - 0.5))
        ax.grid(axis="x", visible=False)
        sns.despine(ax=ax, left=True)
    axes[0].set_ylim(bottom=0)
    _label_left(axes, "Word error rate (%)")
    _legend(figure, axes)
    return figure


def latency(tables: Tables) -> Figure:
    """Stacked horizontal bars: the real-time factor's parts by model and search."""
    bars: dict[str, list[Row]] = {}
    rows = averages(row for row in tables["latency"] if row["split"] == main_split(tables))
    rows = [row for row in rows if row["method"] == "dense"]
    for row in rows:
        name = f"{_model_name(row, corpus=len(by_corpus(rows)) > 1)}\n{_search_name(row)}"
        bars.setdefault(name if row["language"] == "avg" else f"{name}, {row['language']}", []).append(row)
    if not bars:
        raise NothingToShow("the study decodes no dense model")
    figure, ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.5 * len(bars)))
    left = [0.0] * len(bars)
    parts = {"encoder_s": "Encoder", "search_s": "Search", "lm_s": "Language model"}
    for (column, name), colour in zip(parts.items(), _palette(3), strict=True):
        widths = [_mean(_part_of_rtf(row, column) for row in members) for members in bars.values()]
        ax.barh(range(len(bars)), widths, left=left, height=0.62, color=colour, label=name)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, end in enumerate(left):
        ax.annotate(number(end, None), (end, place), (4, 0), textcoords="offset points", va="center", color="#333333")
    ax.set(yticks=range(len(bars)), yticklabels=list(bars), xlabel="Real-time factor: seconds per second of speech")
    ax.invert_yaxis()
    ax.margins(x=0.1)
    ax.grid(axis="y", visible=False)
    sns.despine(ax=ax, left=True)
    _legend(figure, [ax])
    return figure


def tradeoff(tables: Tables) -> Figure:
    """Average WER against the real-time factor; colour is the search, marker the model."""
    split = main_split(tables)
    errors = averages(row for row in tables["wer"] if row["split"] == split and row["method"] == "dense")
    times = averages(row for row in tables["latency"] if row["split"] == split and row["method"] == "dense")
    corpora = by_corpus(errors)
    if not corpora:
        raise NothingToShow("the study decodes no dense model")
    searches = list(dict.fromkeys(_search_name(row) for row in errors))
    colours = dict(zip(searches, _palette(len(searches)), strict=True))
    figure, axes = _panels(len(corpora))
    for ax, (corpus, members) in zip(axes, corpora.items(), strict=False):
        models = list(dict.fromkeys(_point_name(row) for row in members))
        for model, marker in zip(models, MARKERS * len(models), strict=False):
            for search in searches:
                chosen = {"corpus": corpus, "point": model, "search": search}
                y, x = _cell(members, "wer", **chosen), _cell(times, "rtf", **chosen)
                if y.value is not None and x.value is not None:
                    _point(ax, x.value, y, colours[search], marker)
        for search in searches:
            ax.plot([], [], "s", color=colours[search], label=search)
        for model, marker in zip(models, MARKERS * len(models), strict=False):
            ax.plot([], [], marker, color="none", markeredgecolor="#333333", label=model)
        ax.set(title=corpus if len(corpora) > 1 else "", xscale="log", xlabel="Real-time factor (log scale)")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.margins(x=0.15)
        ax.set_ylim(bottom=0)
        sns.despine(ax=ax)
    _label_left(axes, "Average word error rate (%)")
    _legend(figure, axes)
    return figure


def loss(tables: Tables) -> Figure:
    """Training and development loss by step: one panel per dense model and language model, one colour per scope."""
    frame = pd.DataFrame([row for row in tables["history"] if row["stage"] == "lm" or row["method"] == "dense"])
    if frame.empty:
        raise NothingToShow("no training history")
    for column in ("step", "train_loss", "dev_loss"):
        frame[column] = pd.to_numeric(frame[column])
    frame["trained"] = [label("scope", scope) if scope == "all" else scope for scope in frame["scope"]]
    names = list(dict.fromkeys(frame["trained"]))
    colours = dict(zip(names, _palette(len(names)), strict=True))
    several = frame["corpus"].nunique() > 1
    panels = list(frame.groupby(["stage", "corpus", "model"], sort=False))
    figure, axes = _panels(len(panels))
    for ax, ((stage, corpus, model), members) in zip(axes, panels, strict=False):
        for column, style in (("train_loss", {"linewidth": 0.9, "alpha": 0.6}), ("dev_loss", {"marker": "o"})):
            known = members.dropna(subset=[column])
            sns.lineplot(
                known,
                x="step",
                y=column,
                hue="trained",
                units="seed",
                estimator=None,
                palette=colours,
                legend=False,
                ax=ax,
                markersize=4,
                **style,
            )
        for name in members["trained"].unique():
            ax.plot([], [], color=colours[name], label=name)
        title = f"{model}, {corpus}" if several else model
        ax.set(title=f"language model {title}" if stage == "lm" else title, xlabel="Training step", ylabel="")
        values = members[["train_loss", "dev_loss"]].stack()
        if (values > 0).all() and values.max() > 5 * values.min():
            ax.set_yscale("log")
        sns.despine(ax=ax)
    _label_left(axes, "Loss")
    _legend(figure, axes)
    return figure


def _panels(count: int, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, two to a line."""
    columns = min(count, 2)
    lines = -(-count // columns)
    figure, grid = plt.subplots(
        lines, columns, figsize=(WIDTH, 0.5 + PANEL_HEIGHT * lines), sharey=sharey, squeeze=False
    )
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def _point(ax: Axes, x: float, cell: Cell, colour: tuple, marker: str):
    """A point with its interval, or with ± its deviation over seeds."""
    below, above = 0.0, 0.0
    if cell.deviation is not None:
        below = above = cell.deviation
    elif cell.low is not None and cell.high is not None:
        below, above = cell.value - cell.low, cell.high - cell.value
    return ax.errorbar(
        *([x], [cell.value], [[below], [above]]), fmt=marker, color=colour, markersize=5.5, capsize=0, elinewidth=1.4
    )


def _cell(rows: Sequence[Row], column: str, **chosen: str) -> Cell:
    """The number of the rows with these values of their axes, seeds combined."""

    def value(row: Row, axis: str) -> str:
        return {"search": _search_name, "point": _point_name}.get(axis, lambda row: row[axis])(row)

    matching = [row for row in rows if all(value(row, axis) == wanted for axis, wanted in chosen.items())]
    return combined([measure(row, column, interval=True) for row in matching])


def _model_name(row: Row, corpus: bool = False) -> str:
    scope = "each" if row["scope"] == row["language"] else row["scope"]
    trained = {"all": "multilingual", "each": "monolingual"}.get(scope) or f"trained on {label('scope', scope)}"
    name = f"{row['model']}, {trained}"
    return f"{row['corpus']}: {name}" if corpus else name


def _point_name(row: Row) -> str:
    name = _model_name(row)
    return name if row["language"] == "avg" else f"{name}, {row['language']}"


def _search_name(row: Row) -> str:
    return row["search"] if row["lm"] == "none" else f"{row['search']} (LM: {row['lm']})"


def _part_of_rtf(row: Row, column: str) -> float:
    total = float(row["total_s"])
    return float(row["rtf"]) * float(row[column]) / total if total else 0.0


def _mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def _palette(count: int) -> list[tuple]:
    """Colours that colour-blind readers tell apart."""
    return sns.color_palette("colorblind", max(count, 1))[:count]


def _label_left(axes: Sequence[Axes], text: str) -> None:
    for ax in axes[::2]:
        ax.set_ylabel(text)


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, below them."""
    entries: dict[str, object] = {}
    for ax in axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(name, handle)
    columns = max(1, min(len(entries), LINE_LENGTH // (max(map(len, entries)) + 8)))
    figure.set_figheight(figure.get_figheight() + 0.2 * -(-len(entries) // columns))
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns)
