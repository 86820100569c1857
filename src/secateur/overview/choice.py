"""Choosing a system by need, from the rows of `systems.tsv`.

The system with the fewest errors is chosen among those within the limits. That is done on dev data: the errors on test
data of the best of many systems on the same test data would be too low.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from secateur.reporting.grid import Row, figure

ON = {"dev": "dev_wer", "test": "wer"}
"""By split that a system is chosen on, the column of its errors."""
LIMITED = {"rtf": ("rtf", 1.0, "RTF"), "mb": ("bytes", 1e6, "MB")}
"""By limit: its column, how much of that is 1 of the limit's unit, and the unit. The limit `wer` is on the split that a
system is chosen on."""
VALUES = ("wer", "wer_low", "wer_high", "cer", "dev_wer", "dev_cer", "bytes", "rtf", "macs_per_second", "parameters")
DEV_MISSING = (
    "No system is chosen here: dev data were not decoded, and test data are not for choosing. "
    "`decode.splits: [test, dev]` decodes both."
)


@dataclass(frozen=True)
class Option:
    """A system to choose, with the means over its seeds of the columns `VALUES`; None where a seed has none."""

    name: str
    search: str
    rows: tuple[Row, ...]
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class Choice:
    """What is within limits.

    Attributes:
        best: the system with the fewest errors; None if none is within the limits.
        others: the others within the limits, the best first.
        without: by limit, the best system if this one limit did not hold.
        nearest: by limit, the lowest value among the systems that are within all other limits.
        lowest: by limit, the lowest value of all systems.
    """

    best: Option | None
    others: Sequence[Option]
    without: Mapping[str, Option | None]
    nearest: Mapping[str, float | None]
    lowest: Mapping[str, float | None]


@dataclass(frozen=True)
class Need:
    """Limits, and what they say in words."""

    text: str
    limits: Mapping[str, float]


def comparable(rows: Sequence[Row], languages: Sequence[str] = ()) -> list[Row]:
    """The rows of the systems that serve these languages, or, if none are named, as many as any system does."""
    wanted = set(languages) or max((set(row["languages"].split()) for row in rows), key=len, default=set())
    return [row for row in rows if set(row["languages"].split()) == wanted]


def options(rows: Sequence[Row]) -> list[Option]:
    """The systems of rows of one corpus and one test split."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in comparable(rows):
        groups.setdefault((row["system"], row["search"]), []).append(row)
    return [
        Option(name, search, tuple(members), {column: _mean(members, column) for column in VALUES})
        for (name, search), members in groups.items()
    ]


def choices(rows: Sequence[Row], limits: Mapping[str, float], on: str = "dev") -> Choice:
    """What to choose within limits, at most so much: by name, `wer` in percent, `rtf`, `mb` in millions of bytes."""
    known = [option for option in options(rows) if option.values[ON[on]] is not None]

    def within(option: Option, chosen: Mapping[str, float]) -> bool:
        values = {name: value_of(option, name, on) for name in chosen}
        return all(value is not None and value <= chosen[name] for name, value in values.items())

    def ordered(chosen: Mapping[str, float]) -> list[Option]:
        fits = [option for option in known if within(option, chosen)]
        return sorted(fits, key=lambda option: _order(option, on))

    def but(name: str) -> dict[str, float]:
        return {other: limit for other, limit in limits.items() if other != name}

    fits = ordered(limits)
    without = {name: next(iter(ordered(but(name))), None) for name in limits}

    def least(name: str, among: Iterable[Option]) -> float | None:
        return min((value for one in among if (value := value_of(one, name, on)) is not None), default=None)

    nearest = {name: least(name, ordered(but(name))) for name in limits}
    lowest = {name: least(name, known) for name in limits}
    return Choice(next(iter(fits), None), fits[1:], without, nearest, lowest)


def value_of(option: Option, limit: str, on: str) -> float | None:
    """The value of a system that a limit is about, in the limit's unit."""
    column, scale, _ = (ON[on], 1.0, "%") if limit == "wer" else LIMITED[limit]
    value = option.values[column]
    return None if value is None else value / scale


def needs(rows: Sequence[Row]) -> list[Need]:
    """A few typical limits: relative to the system with the fewest errors on dev."""
    best = choices(rows, {}).best
    if best is None:
        return []
    found = [Need("the fewest errors", {})]
    size, time = (value_of(best, limit, "dev") for limit in ("mb", "rtf"))
    for share, words in ((0.5, "half"), (0.25, "a quarter")):
        if size:
            found.append(Need(f"{words} of its bytes: {figure(size * share, None)} MB", {"mb": size * share}))
    if time:
        found.append(Need(f"half of its time: RTF {figure(time / 2, None)}", {"rtf": time / 2}))
    if size and time:
        found.append(Need("half of both", {"mb": size / 2, "rtf": time / 2}))
    return found


def _mean(rows: Sequence[Row], column: str) -> float | None:
    values = [row.get(column) for row in rows]
    return fmean(map(float, values)) if all(values) else None


def _order(option: Option, on: str) -> tuple[float, ...]:
    """Fewer errors first; among equals the smaller, then the faster."""
    values = (option.values[column] for column in (ON[on], "bytes", "rtf"))
    return tuple(float("inf") if value is None else value for value in values)
