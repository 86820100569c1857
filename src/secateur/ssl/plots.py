"""The figures of self-supervised encoders: score by size, gates in training, what is left of every layer (S4)."""

import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from secateur.reporting import drawing
from secateur.reporting.drawing import MARKERS, NothingToShow, Tables
from secateur.ssl.scales import SUPERB
from secateur.ssl.study import ZEROS
from secateur.ssl.tables import SCORE, own


def superb(tables: Tables) -> Figure:
    """Score over tasks against parameters, a point a model (S4, figure 2): one panel an upstream."""
    rows = [row for row in tables["superb"] if row["task"] == SCORE]
    if not rows:
        raise NothingToShow("no tasks were scored, or none tells the teacher from log-mel features")
    sizes = {(row["upstream"], row["model"], row["seed"]): float(row["parameters"]) for row in own(tables)}
    groups = drawing.grouped(rows, lambda row: row["upstream"])
    figure, axes = drawing.panels(len(groups), columns=1, height=3.6)
    for ax, (upstream, members) in zip(axes, groups.items(), strict=True):
        models = list(dict.fromkeys(row["model"] for row in members))
        colours = dict(zip(models, drawing.palette(len(models)), strict=True))
        for row in members:
            size = sizes.get((upstream, row["model"], row["seed"]), 0.0) / 1e6
            marker = MARKERS[models.index(row["model"]) % len(MARKERS)]
            style = {"color": colours[row["model"]], "marker": marker, "markersize": 8, "linestyle": ""}
            name = f"{row['model']} (no parameters)" if row["model"] in ZEROS else row["model"]
            ax.plot([size], [float(row["value"])], label=name, **style)
        scale = "SUPERB score" if members[0]["metric"] == SUPERB else "Own score, not SUPERB's"
        ax.set(xlabel="Parameters (M)", ylabel=f"{scale} (Eq. 6)", xlim=(-0.02 * ax.get_xlim()[1], None))
        drawing.small_title(ax, upstream, 60)
        sns.despine(ax=ax)
    drawing.legend(figure, axes)
    return figure


def gates(tables: Tables) -> Figure:
    """Mean gates of attention and feed-forward blocks, and the sparsity, over training (S4, figure 3a)."""
    if not tables["gates"]:
        raise NothingToShow("the study prunes no encoder through gates")
    groups = drawing.grouped(tables["gates"], lambda row: (row["upstream"], row["model"], row["seed"]))
    figure, axes = drawing.panels(4, columns=2, height=2.4)
    names = list(dict.fromkeys(model for _, model, _ in groups))
    colours = dict(zip(names, drawing.palette(len(names)), strict=True))
    for (_, model, _), members in groups.items():
        steps = [int(row["step"]) for row in members]
        for ax, column in zip(axes, ("z_mha", "z_ffn", "sparsity", "polarisation"), strict=True):
            marker = "o" if len(steps) == 1 else ""  # a line of one point would not be seen
            style = {"color": colours[model], "label": model, "marker": marker}
            ax.plot(steps, [float(row[column]) for row in members], **style)
        axes[2].plot(steps, [float(row["target"]) for row in members], color=colours[model], linestyle=":")
    for ax, title in zip(
        axes,
        ("Attention blocks, mean gate", "Feed-forward blocks", "Sparsity (dotted: target)", "Gates that are 0 or 1"),
        strict=True,
    ):
        ax.set(xlabel="Training step", ylim=(-0.02, 1.02))
        drawing.small_title(ax, title, 40)
        sns.despine(ax=ax)
    drawing.legend(figure, axes)
    return figure


def blocks(tables: Tables) -> Figure:
    """Parameters that are left of the attention and feed-forward blocks of every layer (S4, figure 3b)."""
    groups = drawing.grouped(tables["blocks"], lambda row: (row["upstream"], row["model"], row["seed"]))
    if not groups:
        raise NothingToShow("the study has no self-supervised encoders")
    figure, axes = drawing.panels(len(groups), columns=3, height=1.9, sharey=True)
    attention, feed_forward = drawing.palette(2)
    depths: dict[str, int] = {}  # panels of an upstream share their layers, so that those that are gone are seen
    for row in tables["blocks"]:
        depths[row["upstream"]] = max(depths.get(row["upstream"], 1), int(row["layer"]))
    for ax, ((upstream, model, seed), members) in zip(axes, groups.items(), strict=True):
        layers = [int(row["layer"]) for row in members]
        below, above = ([float(row[part]) / 1e3 for row in members] for part in ("attention", "feed_forward"))
        ax.bar(layers, below, color=attention, label="attention")
        ax.bar(layers, above, bottom=below, color=feed_forward, label="feed-forward")
        seeds = len({row["seed"] for row in tables["blocks"]})
        drawing.small_title(ax, model if seeds == 1 else f"{model}, seed {seed}", 30)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(
            xlim=(0.4, depths[upstream] + 0.6), xlabel="Layer", ylabel="Thousand parameters" if ax is axes[0] else ""
        )
        sns.despine(ax=ax)
    drawing.legend(figure, axes)
    return figure
