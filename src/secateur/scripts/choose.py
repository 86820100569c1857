"""Choose a system of a finished study by need: the fewest errors within limits of errors, time and size.

Systems are chosen on dev data, and the errors on test data of the one that was chosen are shown. With several seeds,
the means over seeds count.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv
from secateur.overview.choice import LIMITED, ON, Choice, Option, choices, comparable, value_of
from secateur.overview.handover import hand_over
from secateur.reporting.grid import Row, figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", required=True, help="name of the study, whose tables are made")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the results of all studies")
    parser.add_argument("--max-wer", type=float, help="most errors, in percent, on the split that is chosen on")
    parser.add_argument("--max-rtf", type=float, help="most seconds of computation for a second of speech")
    parser.add_argument("--max-mb", type=float, help="most millions of bytes, language model included")
    parser.add_argument("--corpus", help="corpus, where the study has several")
    parser.add_argument("--languages", nargs="+", default=[], help="those to serve (as many as any system does)")
    parser.add_argument("--search", help="only systems with this search (any)")
    parser.add_argument("--split", help="test split to show, where there are several (the first)")
    parser.add_argument("--on", choices=list(ON), default="dev", help="split to choose on")
    parser.add_argument("--runners-up", type=int, default=3, help="how many other systems to show")
    parser.add_argument("--export", type=Path, help="folder to write the chosen model into")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    root = arguments.results / arguments.study
    rows = chosen_rows(read_tsv(root / "tables" / "systems.tsv"), arguments)
    if not any(row[ON[arguments.on]] for row in rows):
        raise SecateurError(
            f"{arguments.study}: the {arguments.on} data were not decoded, so nothing can be chosen on them; "
            + (
                "decode them (decode.splits: [test, dev]), or give --on test, whose errors are then too low for "
                "the system that is chosen"
                if arguments.on == "dev"
                else "decode them (decode.splits)"
            )
        )
    limits = {name: vars(arguments)[f"max_{name}"] for name in ("wer", *LIMITED)}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    found = choices(rows, limits, arguments.on)
    print("\n".join([*said(found, limits, arguments.on, arguments.runners_up), *doubted(found, limits)]))
    if found.best is None:
        raise SecateurError("no system is within the limits")
    record["system"] = f"{found.best.name}, {found.best.search}"
    if arguments.export:
        row = found.best.rows[0]
        hand_over(root, row, arguments.export)
        print(f"Written to {arguments.export}: seed {row['seed']}.")


def chosen_rows(rows: Sequence[Row], arguments: argparse.Namespace) -> list[Row]:
    """The rows of one corpus, test split and set of languages, and of one search if one is named.

    Raises SecateurError if it is not clear which, or there are none.
    """
    rows = [row for row in rows if row["folder"] and row["languages"]]
    for name, wanted in (("corpus", arguments.corpus), ("split", arguments.split), ("search", arguments.search)):
        known = list(dict.fromkeys(row[name] for row in rows))
        if wanted and wanted not in known:
            raise SecateurError(f"--{name}: {wanted!r}; the study has {', '.join(known) or 'none'}")
        if name == "corpus" and not wanted and len(known) > 1:
            raise SecateurError(f"--corpus: the study has {', '.join(known)}; name one")
        kept = [wanted] if wanted else known[:1] if name == "split" else known
        rows = [row for row in rows if row[name] in kept]
    if not (found := comparable(rows, arguments.languages)):
        known = sorted({row["languages"] for row in rows})
        raise SecateurError(f"--languages: no system for these alone; there are systems for: {'; '.join(known)}")
    return found


def said(found: Choice, limits: Mapping[str, float], on: str, count: int) -> Iterator[str]:
    """What is printed: the best system, the runners-up, and what each limit costs."""
    if on == "test":
        yield "Chosen on the test data, on which the system that is chosen looks better than it is."
    if found.best:
        yield f"Best: {described(found.best)}"
        for place, option in enumerate(found.others[:count], 2):
            yield f"  {place}. {described(option)}"
        more = len(found.others) - count
        if more > 0:
            yield f"  and {more} more within the limits"
    else:
        yield "No system is within all limits."
    for name, limit in limits.items():
        unit = "% errors" if name == "wer" else LIMITED[name][2]
        yield f"Without the limit of {limit:g} {unit}: {cost_of(found, name, on)}"


def doubted(found: Choice, limits: Mapping[str, float]) -> Iterator[str]:
    """Which of the times that decided are not to be relied on, where a limit is one of time."""
    if "rtf" in limits:
        options = [option for option in (found.best, *found.others) if option]
        doubts = dict.fromkeys(row["doubt"] for option in options for row in option.rows if row.get("doubt"))
        yield from (f"Warning: times are not to be relied on: {doubt}." for doubt in doubts)


def cost_of(found: Choice, limit: str, on: str) -> str:
    """What dropping one limit would give."""
    other, nearest, lowest = found.without[limit], found.nearest[limit], found.lowest[limit]
    if other is None:
        return f"no system either; the lowest of all: {figure(lowest, None) if lowest is not None else '–'}"
    if found.best is None:
        return f"{described(other)}; the lowest that there is: {figure(nearest, None) if nearest is not None else '–'}"
    if other == found.best:
        return "the same system; it costs nothing"
    less = value_of(found.best, "wer", on) - value_of(other, "wer", on)
    return f"{figure(less, 1)} points fewer errors on {on}: {described(other)}"


def described(option: Option) -> str:
    """A system in a line, with its figures."""
    values, parts = option.values, []
    for column, name in (("dev_wer", "dev"), ("wer", "test")):
        if values[column] is not None:
            ends = [values[f"{column}_{end}"] for end in ("low", "high")] if column == "wer" else [None, None]
            several = len(option.rows) > 1 or None in ends
            interval = "" if several else f" [{figure(ends[0], 1)}, {figure(ends[1], 1)}]"
            parts.append(f"{figure(values[column], 1)} %{interval} on {name}")
    if values["cer"] is not None:
        parts[-1] += f" ({figure(values['cer'], 1)} % of the characters)"
    if values["bytes"] is not None:
        parts.append(f"{figure(values['bytes'] / 1e6, None)} MB")
    if values["rtf"] is not None:
        parts.append(f"RTF {figure(values['rtf'], None)} ({option.rows[0]['timed']})")
    return f"{option.name}, search {option.search}: {', '.join(parts)}"
