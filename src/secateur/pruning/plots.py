"""The figures of pruning: one function per figure, from its rows."""

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from secateur.pruning import looks, methods
from secateur.reporting import drawing
from secateur.reporting.drawing import NothingToShow, Tables
from secateur.reporting.grid import Cell, Row
from secateur.reporting.rates import rate
from secateur.reporting.views import main_split

AXES_FRACTION = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "annotation_clip": False}
SLOT = 5.5
"""Width that a model of one sparsity has on the axis of sparsity, in percent."""


def sparsity(tables: Tables) -> Figure:
    """WER against sparsity: methods of several levels as lines, the others as points in places of their own."""
    rows = [row for row in tables["wer"] if row["split"] == main_split(tables)]
    blocks = drawing.blocks(row for row in rows if methods.find(row["method"]))
    if not blocks:
        raise NothingToShow("the study decodes no pruned model")
    panels: list[tuple[str, bool, Sequence[Row], Sequence[Row], Sequence[str]]] = []
    for title, members in blocks.items():
        corpus, model, search = (members[0][axis] for axis in ("corpus", "model", "search"))
        members = [row for row in members if row["search"] == search]
        dense = [
            row
            for row in rows
            if (row["method"], row["corpus"], row["search"]) == ("dense", corpus, search)
            and (row["scope"] in ("each", row["language"]) or (row["scope"], row["model"]) == ("all", model))
        ]
        target = max(float(row["sparsity_target"]) for row in members)
        points = [row for row in members if _ends(row, target)]
        lines = _named(methods.EVERY, methods.ZERO)
        once = list(dict.fromkeys(looks.name(row) for row in points if row["method"] not in lines))
        languages = _averages_last(row["language"] for row in members)
        for language in languages:
            title_here = f"{title}, {language}" if title else language
            found = [_heard(part, language) for part in (members, dense)]
            panels.append((title_here, language == languages[-1], *found, once))
    height = 0.4 + 1.7 * len(panels) + 1.2 * len(blocks)
    figure, grid = plt.subplots(len(panels), 1, figsize=(drawing.WIDTH, height), squeeze=False)
    for ax, (title, last, members, dense, once) in zip(grid.flat, panels, strict=True):
        _sparsity_panel(ax, members, dense, once)
        ax.set(title=title, ylabel=rate(tables)("WER (%)"))
        ax.tick_params(axis="x", labelbottom=last)
        if last:
            level = 100 * max(float(row["sparsity_target"]) for row in members)
            ax.annotate("Sparsity (%)", (level / 2, 0), (0, -22), **AXES_FRACTION, ha="center", va="top")
        sns.despine(ax=ax)
    drawing.legend(figure, list(grid.flat))
    return figure


def _sparsity_panel(ax: Axes, pruned: Sequence[Row], dense: Sequence[Row], once: Sequence[str]) -> None:
    """One language of one block. `once` are the names of all points of the block, in the order of their places."""
    start = drawing.cell(dense, "wer", scope="all")
    for name, style, cell in _flat(pruned, dense):
        if cell.value is not None:
            ax.axhline(cell.value, color="black", linewidth=1, zorder=1, linestyle=style, label=name)
    target = max(float(row["sparsity_target"]) for row in pruned)
    progressive = [name for name in _named(methods.EVERY) if any(row["method"] == name for row in pruned)]
    levels = sorted({float(row["sparsity_target"]) for row in pruned if row["method"] in progressive} | {0.0, target})
    for place, method in enumerate(progressive):
        members = [row for row in pruned if row["method"] == method]
        colour, marker, line = looks.style(members[0])
        points = [(0.0, start)]
        for level in levels[1:]:
            aside = 1.2 * (place - (len(progressive) - 1) / 2)  # so that intervals do not cover each other
            cell = drawing.cell([row for row in members if float(row["sparsity_target"]) == level], "wer")
            points.append((100 * level + aside, cell))
        points = [(x, cell) for x, cell in points if cell.value is not None]
        for x, cell in points[start.value is not None :]:
            drawing.point(ax, x, cell, colour, marker, looks.name(members[0]))
        ax.plot([x for x, _ in points], [cell.value for _, cell in points], line, color=colour, linewidth=1.2)
        ax.plot([], [], line + marker, color=colour, markersize=5.5, label=looks.name(members[0]))
    if start.value is not None:
        drawing.point(ax, 0, start, "black", "o", "dense")
    places = {name: 100 * target + SLOT * (2 + place) for place, name in enumerate(once)}
    for name, x in places.items():
        members = [row for row in pruned if looks.name(row) == name and _ends(row, target)]
        if members:
            drawing.point(ax, x, drawing.cell(members, "wer"), *looks.style(members[0])[:2], name)
    if places:
        ax.axvspan(100 * target + SLOT, max(places.values()) + SLOT, color="#f3f3f3", zorder=0)
    ax.set_xlim(-4, max([100 * target, *places.values()]) + SLOT)
    ax.set_xticks([*(100 * level for level in levels), *places.values()])
    ax.set_xticklabels([*(f"{100 * level:g}" for level in levels), *places])
    for tick in ax.get_xticklabels()[len(levels) :]:
        tick.set(rotation=90, fontsize=8)


def _ends(row: Row, target: float) -> bool:
    """Whether a pruned model is no level on the way: fixed pathways stay at the sparsity of their masks."""
    at_masks = methods.parse(row["method"]).method.levels == methods.MASKS
    return float(row["sparsity_target"]) == target or at_masks


def _named(*levels: str) -> list[str]:
    """The methods with these levels."""
    return [name for name, method in methods.registry().items() if method.levels in levels]


def _flat(pruned: Sequence[Row], dense: Sequence[Row]) -> list[tuple[str, str, Cell]]:
    """(name, line style, WER) of the dense models of one language, controls included."""
    found = [("dense, multilingual", "-", [row for row in dense if row["scope"] == "all"])]
    for method in _named(methods.ZERO):
        shown = methods.named(method).shown
        found.append((shown.label, shown.line, [row for row in pruned if row["method"] == method]))
    for model, rows in drawing.grouped(
        (row for row in dense if row["scope"] != "all"), lambda row: row["model"]
    ).items():
        found.append((f"{model}, dense, monolingual", "-.", rows))
    return [(name, style, drawing.cell(rows, "wer")) for name, style, rows in found]


def schedule(tables: Tables) -> Figure:
    """Sparsity by training step: one panel for all methods of a block that share a schedule."""
    panels: list[tuple[str, list[Row], Sequence[tuple[float, float]]]] = []
    for title, members in drawing.blocks(tables["schedule"]).items():
        alike: dict[tuple, list[tuple[str, list[Row]]]] = {}
        for name, rows in drawing.grouped(members, lambda row: looks.name(row, scope=False)).items():
            first = [row for row in rows if all(row[axis] == rows[0][axis] for axis in ("scope", "seed"))]
            shape = tuple(tuple(row[key] for key in ("stage", "sparsity", "first_step", "last_step")) for row in first)
            changes = [row for row in tables["adaptations"] if _same(row, first[0])]
            ticks = sorted({(float(row["total_step"]), float(row["sparsity"])) for row in changes})
            alike.setdefault((shape, tuple(ticks)), []).append((name, first))
        for (_, ticks), members in alike.items():
            names = _joined([name for name, _ in members])
            panels.append((f"{title}: {names}" if title else names, members[0][1], ticks))
    if not panels:
        raise NothingToShow("the study prunes no model")
    figure, axes = drawing.panels(len(panels), columns=3, height=1.75)
    colours = drawing.palette(4)
    for ax, (title, rows, ticks) in zip(axes, panels, strict=True):
        level = 0.0
        for row in rows:
            first, last, share = (float(row[key]) for key in ("first_step", "last_step", "sparsity"))
            colour = colours[{"1": 0, "2": 3}[row["stage"]]]
            name = {"1": "stage 1", "2": "stage 2: pathways"}[row["stage"]]
            ax.vlines(first, 100 * level, 100 * share, color="#aaaaaa", linewidth=1)
            ax.hlines(100 * share, first, last, color=colour, linewidth=2.5, label=name)
            level = share
        if ticks:
            steps, heights = [step for step, _ in ticks], [100 * share for _, share in ticks]
            low, high = ([height - below for height in heights] for below in (8, 2))
            ax.vlines(steps, low, high, color="black", linewidth=0.6)
            ax.plot([], [], "|", color="black", markersize=8, markeredgewidth=0.8, label="a mask adapts")
        drawing.small_title(ax, title, 32)
        ax.grid(axis="x", visible=False)
        ax.tick_params(axis="y", labelsize=8)
        sns.despine(ax=ax)
    limit = max(float(row["last_step"]) for _, rows, _ in panels for row in rows)
    levels = sorted({100 * float(row["sparsity"]) for _, rows, _ in panels for row in rows})
    for ax in axes:
        ax.set(xlim=(0, 1.03 * limit), ylim=(-4, levels[-1] + 8), yticks=levels)
    _label_steps(axes, "Sparsity (%)")
    drawing.legend(figure, axes)
    return figure


def adaptation(tables: Tables) -> Figure:
    """The share of a mask that each adaptation renewed, by training step: one panel per method, one line a language."""
    panels = {
        (title, name): rows
        for title, members in drawing.blocks(tables["adaptations"]).items()
        for name, rows in drawing.grouped(members, looks.name).items()
    }
    if not panels:
        raise NothingToShow("no mask of the study adapts")
    languages = list(dict.fromkeys(row["language"] for row in tables["adaptations"]))
    colours = dict(zip(languages, drawing.palette(len(languages)), strict=True))
    figure, axes = drawing.panels(len(panels), columns=3, height=2.1, sharey=True)
    for ax, ((title, name), rows) in zip(axes, panels.items(), strict=True):
        for (language, _), line in drawing.grouped(rows, lambda row: (row["language"], row["seed"])).items():
            line = sorted(line, key=lambda row: float(row["total_step"]))
            x, y = ([float(row[key]) for row in line] for key in ("total_step", "changed"))
            marker = drawing.MARKERS[languages.index(language) % len(drawing.MARKERS)]
            style = {"markersize": 3.5, "linewidth": 1.1, "clip_on": False, "color": colours[language]}
            ax.plot(x, [100 * share for share in y], marker=marker, label=language, **style)
        # Only the levels at which masks adapt: those that the method itself trains.
        pieces = [row for row in tables["schedule"] if _same(row, rows[0]) and row["made_by"] == row["method"]]
        for piece in pieces:
            first = float(piece["first_step"])
            ax.axvline(first, color="#bbbbbb", linewidth=0.8, zorder=0)
            level, style = drawing.percent(piece["sparsity"]), {"va": "top", "fontsize": 8, "color": looks.GREY}
            ax.annotate(level, (first, 1), (2, -2), **AXES_FRACTION, **style)
        drawing.small_title(ax, f"{title}: {name}" if title else name, 32)
        ax.grid(axis="x", visible=False)
        sns.despine(ax=ax)
    axes[0].set_ylim(bottom=0, top=1.2 * axes[0].get_ylim()[1])
    _label_steps(axes, "New in the mask (%)")
    drawing.legend(figure, axes)
    return figure


def _same(a: Row, b: Row) -> bool:
    """Whether two rows are about one model, or about levels of one method."""
    return all(a[axis] == b[axis] for axis in ("corpus", "model", "method", "scope", "seed"))


def _heard(rows: Iterable[Row], language: str) -> list[Row]:
    """The rows of a language. An average is comparable with others if it is over all languages."""
    return [
        row for row in rows if row["language"] == language and (language != "avg" or row["scope"] in ("all", "each"))
    ]


def _averages_last(languages: Iterable[str]) -> list[str]:
    return sorted(dict.fromkeys(languages), key=lambda code: code == "avg")


def _joined(names: Sequence[str]) -> str:
    """`a, b and c`; what the names have in common in front is said once."""
    common = names[0].partition(" ")[0] + " "
    if all(name.startswith(common) for name in names):
        names = [names[0], *(name.removeprefix(common) for name in names[1:])]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _label_steps(axes: Sequence[Axes], y: str, columns: int = 3) -> None:
    """Label panels over training steps, at the left and at the bottom."""
    for place, ax in enumerate(axes):
        ax.set(ylabel="" if place % columns else y, xlabel="Training steps" if place + columns >= len(axes) else "")
        ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
