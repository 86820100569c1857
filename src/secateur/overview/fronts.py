"""The figures of all systems: errors against bytes, arithmetic and time, with the systems that no other one beats."""

from collections.abc import Sequence

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from secateur.overview.candidates import KINDS
from secateur.reporting import drawing
from secateur.reporting.drawing import NothingToShow, Tables
from secateur.reporting.grid import Row, combined, measure
from secateur.reporting.rates import rate
from secateur.reporting.views import grouped, main_split

MOST_PANELS = 4
PANEL = ("corpus", "languages", "search")
TEST = "test"
"""The split of encoders' tasks, whatever those of the corpora are."""


def size(tables: Tables) -> Figure:
    """Errors against the bytes of the smallest file."""
    return _drawn(tables, "bytes", 1e-6, "MB on disk (log scale)", "front_bytes")


def arithmetic(tables: Tables) -> Figure:
    """Errors against multiply–accumulates of the acoustic model."""
    return _drawn(tables, "macs_per_second", 1e-6, "MMAC per second of speech (log scale)", "front_macs")


def time(tables: Tables) -> Figure:
    """Errors against the real-time factor."""
    return _drawn(tables, "rtf", 1.0, "Real-time factor (log scale)", "front_time")


def _drawn(tables: Tables, column: str, scale: float, label: str, front: str) -> Figure:
    """One panel for each corpus, set of languages and search that decoded several systems; the fullest first."""
    split = main_split(tables)
    rows = [row for row in tables["systems"] if row["split"] in (split, TEST) and row[column] and row["wer"]]
    groups = {key: members for key, members in grouped(rows, *PANEL).items() if len(_names(members)) > 1}
    panels = dict(sorted(groups.items(), key=lambda item: -len(item[1]))[:MOST_PANELS])
    if not panels:
        raise NothingToShow("no two systems are decoded by the same search")
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    looks = dict(zip(kinds, zip(drawing.palette(len(kinds)), drawing.MARKERS, strict=False), strict=False))
    figure, axes = drawing.panels(len(panels))
    for ax, (key, members) in zip(axes, panels.items(), strict=True):
        _panel(ax, members, column, scale, front, looks)
        different = [part for place, part in enumerate(key) if len({other[place] for other in panels}) > 1]
        ax.set(title=", ".join(different), xlabel=label)
        drawing.plain_log(ax)
        ax.margins(x=0.1)
        ax.set_ylim(bottom=0)
        sns.despine(ax=ax)
    drawing.label_left(axes, rate(tables)("Average word error rate (%)"))
    drawing.legend(figure, axes)
    return figure


def _names(rows: Sequence[Row]) -> set[str]:
    return {row["system"] for row in rows}


def _panel(ax: Axes, rows: Sequence[Row], column: str, scale: float, front: str, looks: dict) -> None:
    """All systems as points, and a line through those that are on the front, of every seed."""
    for (system, kind), members in grouped(rows, "system", "kind").items():
        x = combined([measure(row, column, scale=scale) for row in members])
        y = combined([measure(row, "wer", interval=True) for row in members])
        colour, marker = looks[kind]
        drawing.point(ax, x.value, y, colour, marker, f"{system} ({x.number})")
    for kind, (colour, marker) in looks.items():
        if any(row["kind"] == kind for row in rows):
            ax.plot([], [], marker, color=colour, label=kind)
    for (_,), members in grouped([row for row in rows if row[front] == "true"], "seed").items():
        points = sorted((scale * float(row[column]), float(row["wer"])) for row in members)
        ax.step(*zip(*points, strict=True), where="post", color="#888888", linewidth=1.0, zorder=0, label="front")
