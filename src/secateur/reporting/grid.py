"""From tidy rows to a table for reading: pivoted, seeds combined, columns without information left out."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

Row = Mapping[str, str]

HEADINGS = {
    "question": "Question",
    "a": "A",
    "b": "B",
    "seed": "Seed",
    "seeds": "Seeds",
    "model": "Model",
    "method": "Method",
    "initialization": "Starts from",
    "mask_changes": "Mask changes",
    "sparsity_target": "Pruned",
    "scope": "Trained on",
    "strategy": "Strategy",
    "depth": "Depth",
    "importance": "Importance",
    "policy": "Policy",
    "share": "Share",
    "removed": "Removed",
    "recovery": "Trained on after",
    "split": "Split",
    "condition": "Condition",
    "of": "Made of",
    "against": "Against",
    "search": "Search",
    "lm": "LM",
    "language": "Language",
    "languages": "Languages",
    "timed_as": "Measured as",
    "rounds": "Rounds",
    "utterances": "Utterances",
    "threads": "Threads",
    "device": "Device",
    "measured_model": "Model",
    "kind": "Kind",
    "system": "System",
    "timed": "Timed",
    "format": "Format",
    "variant": "Variant",
    "regulariser": "Regulariser",
    "schedule": "Schedule",
    "intermediate_layers": "Intermediate CTC at",
    "stochastic_depth": "Stochastic depth",
    "ramp": "By layer",
    "by_language": "Utterances",
    "type": "Type",
    "size": "Size",
    "ste": "STE",
    "fahp": "FAHP",
}


@dataclass(frozen=True)
class Clip:
    """The recording of an utterance: `folder` is a data directory, relative to the study's folder."""

    folder: str
    utterance: str


@dataclass(frozen=True)
class Cell:
    """One cell: either `text`, or a number with what is known of its uncertainty.

    Attributes:
        value: the number, None for an empty cell or a text.
        low, high: 95 % interval, if there is one.
        digits: decimals to show; None shows three significant figures.
        deviation: sample standard deviation over `runs` seeds, when there are several.
        sources: files that the number came from, relative to the study's folder.
        suffix: what stands right behind the number: its unit, where cells of a column differ in it.
        clip: what can be listened to beside the text, on a page that holds it.
    """

    value: float | None = None
    text: str = ""
    low: float | None = None
    high: float | None = None
    digits: int | None = None
    deviation: float | None = None
    runs: int = 1
    sources: tuple[str, ...] = ()
    suffix: str = ""
    clip: Clip | None = None

    @property
    def number(self) -> str:
        """The value as text, with its unit and without its uncertainty."""
        return "" if self.value is None else f"{self.value:,.{self.decimals}f}{self.suffix}"

    @property
    def decimals(self) -> int:
        """Decimals of the value and of its uncertainty."""
        return decimals(self.value) if self.digits is None else self.digits

    @property
    def uncertainty(self) -> str:
        """`± deviation` over seeds that differ, else `[low, high]`, else nothing."""
        if self.deviation:
            return f"± {self.deviation:,.{self.decimals}f}"
        if self.low is not None and self.high is not None:
            return f"[{self.low:,.{self.decimals}f}, {self.high:,.{self.decimals}f}]"
        return ""

    def __str__(self) -> str:
        return self.text or f"{self.number} {self.uncertainty}".strip() or "–"


@dataclass(frozen=True)
class Grid:
    """A table ready to be rendered. The first `labels` columns are texts, the others numbers."""

    title: str
    header: Sequence[str]
    labels: int
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    constant: Mapping[str, str] = field(default_factory=dict)


def figure(value: float, digits: int | None) -> str:
    """A number for reading: `digits` decimals, or three significant figures without an exponent; thousands grouped."""
    return f"{value:,.{decimals(value) if digits is None else digits}f}"


def decimals(value: float) -> int:
    """Decimals that show three significant figures of `value`, six at most."""
    if value == 0:
        return 0
    return min(6, max(0, 2 - math.floor(math.log10(abs(value)))))


def measure(row: Row, column: str, digits: int | None = None, scale: float = 1.0, interval: bool = False) -> Cell:
    """The cell of one number of a tidy row, with its source; `interval` adds `{column}_low` and `{column}_high`."""

    def number(name: str) -> float | None:
        return float(row[name]) * scale if row.get(name) not in (None, "") else None

    low, high = (number(f"{column}_low"), number(f"{column}_high")) if interval else (None, None)
    return Cell(number(column), low=low, high=high, digits=digits, sources=tuple(row.get("source", "").split()))


def pivot(
    title: str,
    rows: Iterable[Row],
    index: Sequence[str],
    cells: Callable[[Row], Iterable[tuple[str, Cell]]],
    keep: Sequence[str] = (),
) -> Grid:
    """Arrange tidy rows as one line per combination of the `index` columns.

    `cells` yields (heading, cell) pairs of a tidy row; cells with the same line and heading, from several seeds, are
    combined. Lines and headings keep their first order, but averages go last. Index columns that are the same on
    every line are left out, unless `keep` names them, and end up in the grid's `constant`.
    """
    lines: dict[tuple[str, ...], dict[str, list[Cell]]] = {}
    headings: dict[str, None] = {}
    for row in rows:
        line = lines.setdefault(tuple(row[column] for column in index), {})
        for heading, cell in cells(row):
            headings.setdefault(heading)
            line.setdefault(heading, []).append(cell)
    different = [len({key[position] for key in lines}) > 1 for position in range(len(index))]
    shown = [position for position, column in enumerate(index) if different[position] or column in keep]
    ordered = sorted(headings, key=lambda heading: heading.endswith("avg"))
    constant = {
        HEADINGS.get(column, column): label(column, next(iter(lines))[position])
        for position, column in enumerate(index)
        if lines and position not in shown and next(iter(lines))[position] not in ("", "0.0")
    }
    return Grid(
        title=title,
        header=[HEADINGS.get(index[position], index[position]) for position in shown] + ordered,
        labels=len(shown),
        rows=[
            [Cell(text=label(index[position], key[position])) for position in shown]
            + [combined(line.get(heading, [])) for heading in ordered]
            for key, line in lines.items()
        ],
        constant=constant,
    )


def listing(title: str, rows: Iterable[Row], columns: Mapping[str, str], numbers: Mapping[str, int]) -> Grid:
    """Tidy rows as they are. `columns` maps a column to its heading, `numbers` a column of numbers to its decimals."""
    texts = [column for column in columns if column not in numbers]
    order = [*texts, *(column for column in columns if column in numbers)]
    return Grid(
        title=title,
        header=[columns[column] for column in order],
        labels=len(texts),
        rows=[
            [Cell(text=row[column] or "–") for column in texts]
            + [measure(row, column, numbers[column]) for column in order[len(texts) :]]
            for row in rows
        ],
    )


def combined(cells: Sequence[Cell]) -> Cell:
    """One cell from those of several seeds: mean ± sample standard deviation. A single cell keeps its interval."""
    cells = [cell for cell in cells if cell.value is not None or cell.text]
    if len(cells) < 2 or cells[0].value is None:
        return cells[0] if cells else Cell()
    values = [cell.value for cell in cells]
    return Cell(
        value=fmean(values),
        digits=cells[0].digits,
        deviation=stdev(values),
        runs=len(values),
        sources=tuple(source for cell in cells for source in cell.sources),
    )


def label(column: str, value: str) -> str:
    """What a reader sees for the value of an axis."""
    if column == "sparsity_target":
        return f"{figure(100 * float(value), 1).removesuffix('.0')} %" if float(value) else "0"
    if column == "scope":
        return {"all": "all languages", "each": "each language alone"}.get(value, value.replace("-", " + "))
    if column in ("mask_changes", "recovery"):
        return {"true": "yes", "false": "no"}.get(value, "–")
    return value or "–"
