"""The figures of the whole study: error rates, time, and losses of dense models."""

from statistics import fmean

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from secateur.reporting import drawing
from secateur.reporting.drawing import NothingToShow, Tables
from secateur.reporting.grid import Row, label
from secateur.reporting.grid import figure as number
from secateur.reporting.rates import rate
from secateur.reporting.views import averages, by_corpus, main_split


def wer(tables: Tables) -> Figure:
    """Points with intervals: language × search, one panel per corpus, dense model and scope."""
    rows = [row for row in tables["wer"] if row["method"] == "dense" and row["split"] == main_split(tables)]
    panels: dict[str, list[Row]] = {}
    for row in rows:
        panels.setdefault(drawing.model_name(row, corpus=len(by_corpus(rows)) > 1), []).append(row)
    if not panels:
        raise NothingToShow("the study decodes no dense model")
    searches = list(dict.fromkeys(drawing.search_name(row) for row in rows))
    colours = dict(zip(searches, drawing.palette(len(searches)), strict=True))
    figure, axes = drawing.panels(len(panels), sharey=True)
    for ax, (title, members) in zip(axes, panels.items(), strict=False):
        languages = sorted(dict.fromkeys(row["language"] for row in members), key=lambda code: code == "avg")
        for position, search in enumerate(searches):
            offset = (position - (len(searches) - 1) / 2) * 0.7 / max(len(searches), 2)
            for place, language in enumerate(languages):
                cell = drawing.cell(members, "wer", language=language, search=search)
                if cell.value is not None:
                    marker = drawing.MARKERS[position % len(drawing.MARKERS)]
                    about = f"{language}, {search}"
                    point = drawing.point(ax, place + offset, cell, colours[search], marker, about)
                    point.set_label(search if place == 0 else "_")
        if "avg" in languages:
            ax.axvspan(len(languages) - 1.5, len(languages) - 0.5, color="#f3f3f3", zorder=0)
        ax.set(title=title, xticks=range(len(languages)), xticklabels=languages, xlim=(-0.5, len(languages) - 0.5))
        ax.grid(axis="x", visible=False)
        sns.despine(ax=ax, left=True)
    axes[0].set_ylim(bottom=0)
    drawing.label_left(axes, rate(tables)("Word error rate (%)"))
    drawing.legend(figure, axes)
    return figure


def latency(tables: Tables) -> Figure:
    """Stacked horizontal bars: the real-time factor's parts by model and search."""
    bars: dict[str, list[Row]] = {}
    rows = _dense_times(tables)
    for row in rows:
        name = f"{drawing.model_name(row, corpus=len(by_corpus(rows)) > 1)}\n{drawing.search_name(row)}"
        bars.setdefault(name, []).append(row)
    if not bars:
        raise NothingToShow("the study decodes no dense model")
    figure, ax = plt.subplots(figsize=(drawing.WIDTH, 0.9 + 0.5 * len(bars)))
    left = [0.0] * len(bars)
    parts = {"encoder_s": "Encoder", "search_s": "Search", "lm_s": "Language model"}
    for (column, name), colour in zip(parts.items(), drawing.palette(3), strict=True):
        widths = [fmean(_part_of_rtf(row, column) for row in members) for members in bars.values()]
        ax.barh(range(len(bars)), widths, left=left, height=0.62, color=colour, label=name)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, end in enumerate(left):
        ax.annotate(number(end, None), (end, place), (4, 0), textcoords="offset points", va="center", color="#333333")
    ax.set(yticks=range(len(bars)), yticklabels=list(bars), xlabel="Real-time factor: seconds per second of speech")
    ax.invert_yaxis()
    ax.margins(x=0.1)
    ax.grid(axis="y", visible=False)
    sns.despine(ax=ax, left=True)
    drawing.legend(figure, [ax])
    return figure


def tradeoff(tables: Tables) -> Figure:
    """Average WER against the real-time factor; colour is the search, marker the model."""
    split = main_split(tables)
    errors = averages(row for row in tables["wer"] if row["split"] == split and row["method"] == "dense")
    times = _dense_times(tables)
    corpora = by_corpus(errors)
    if not corpora:
        raise NothingToShow("the study decodes no dense model")
    searches = list(dict.fromkeys(drawing.search_name(row) for row in errors))
    colours = dict(zip(searches, drawing.palette(len(searches)), strict=True))
    figure, axes = drawing.panels(len(corpora))
    for ax, (corpus, members) in zip(axes, corpora.items(), strict=False):
        models = list(dict.fromkeys(drawing.point_name(row) for row in members))
        for model, marker in zip(models, drawing.MARKERS * len(models), strict=False):
            for search in searches:
                chosen = {"corpus": corpus, "point": model, "search": search}
                y, x = drawing.cell(members, "wer", **chosen), drawing.cell(times, "rtf", **chosen)
                if y.value is not None and x.value is not None:
                    drawing.point(ax, x.value, y, colours[search], marker, f"{model}, {search}, RTF {x.number}")
        for search in searches:
            ax.plot([], [], "s", color=colours[search], label=search)
        for model, marker in zip(models, drawing.MARKERS * len(models), strict=False):
            ax.plot([], [], marker, color="none", markeredgecolor="#333333", label=model)
        ax.set(title=corpus if len(corpora) > 1 else "", xlabel="Real-time factor (log scale)")
        drawing.plain_log(ax)
        ax.margins(x=0.15)
        ax.set_ylim(bottom=0)
        sns.despine(ax=ax)
    drawing.label_left(axes, rate(tables)("Average word error rate (%)"))
    drawing.legend(figure, axes)
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
    colours = dict(zip(names, drawing.palette(len(names)), strict=True))
    several = frame["corpus"].nunique() > 1
    panels = list(frame.groupby(["stage", "corpus", "model"], sort=False))
    figure, axes = drawing.panels(len(panels))
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
    drawing.label_left(axes, "Loss")
    drawing.legend(figure, axes)
    return figure


def _dense_times(tables: Tables) -> list[Row]:
    """The times of dense models on one device: a GPU, if there was one."""
    rows = [row for row in tables["latency"] if row["method"] == "dense"]
    return [row for row in rows if row["device"] == rows[-1]["device"]]


def _part_of_rtf(row: Row, column: str) -> float:
    total = float(row["total_s"])
    return float(row["rtf"]) * float(row[column]) / total if total else 0.0
