"""Compare two studies, or one study at two revisions: the systems that both have, and what the runs differ in.

Example: secateur compare results/default ../older-clone/results/default --output compared.tsv

Differences are B minus A in percentage points, with 95 % intervals, paired by utterance and seed.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from secateur.core.errors import SecateurError
from secateur.core.files import write_tsv
from secateur.overview.two_runs import COLUMNS, Change, Study, System, changes, missing, rows

SHOWN_AT_MOST = 60  # characters of a value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", help="name of a study, or folder of its results")
    parser.add_argument("b", help="the other one")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the results of all studies")
    parser.add_argument("--output", type=Path, help="write the systems as a table (TSV), too")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    a, b = (Study.read(folder(arguments.results, name)) for name in (arguments.a, arguments.b))
    found = list(rows(a, b))
    if not found:
        raise SecateurError(f"{a.root} and {b.root} have no system in common: none of the same names and path")
    print("\n".join(said(a, b, found)))
    if arguments.output:
        write_tsv(arguments.output, COLUMNS, found)


def folder(results: Path, name: str) -> Path:
    """The folder of a study, by its name or by itself. Raises SecateurError if there is none."""
    for candidate in (results / name, Path(name)):
        if candidate.is_dir():
            return candidate
    known = ", ".join(sorted(path.name for path in results.glob("*/"))) or "none"
    raise SecateurError(f"no study {name!r} in {results}, and no such folder; studies: {known}")


def said(a: Study, b: Study, found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is printed."""
    yield f"A: {a.root}\nB: {b.root}\n"
    heading = ("system", "split", "search", "language", "A, %", "B, %", "B − A [95 %]", "p", "utterances", "left out")
    lines = [
        (
            name_of(row), row["split"], row["search"], row["language"], f"{row['wer_a']:.1f}", f"{row['wer_b']:.1f}",
            interval(row), p_value(row), row["utterances"],
            row["left_out"] or "",
        )
        for row in found
    ]  # fmt: skip
    yield tabulate(lines, heading, "github", disable_numparse=True)
    alike = sum(not row["differing"] for row in found)
    yield f"\n{alike} of {len(found)} rows are equal: the same errors in every utterance."
    for side, systems in zip("AB", missing(a, b), strict=True):
        if systems:
            names = ", ".join(dict.fromkeys(name_of(vars(system)) for system in systems))
            yield f"\nOnly in {side}: {names}"
    yield "\nWhat the runs differ in, of the jobs that both have:"
    differences = changes(a, b)
    yield from map(described, differences)
    if not differences:
        yield "- nothing that their records tell"


def name_of(system: Mapping[str, Any] | System) -> str:
    """A system for reading, without its search."""
    values = system if isinstance(system, Mapping) else vars(system)
    parts = [values[axis] for axis in ("corpus", "model", "scope", "method", "level", "sub_model")]
    return " ".join(part for part in parts if part)


def interval(row: Mapping[str, Any]) -> str:
    """The difference with its interval. Equal runs have none: there is nothing left to chance."""
    if not row["differing"]:
        return "equal"
    ends = row["difference_low"], row["difference_high"]
    shown = "" if None in ends else f" [{ends[0]:+.1f}, {ends[1]:+.1f}]"
    return f"{row['difference']:+.1f}{shown}"


def p_value(row: Mapping[str, Any]) -> str:
    return f"{row['p_value']:.3f}" if row["differing"] and row["p_value"] is not None else ""


def described(change: Change) -> str:
    """A difference in a line."""
    values = [text if len(text) <= SHOWN_AT_MOST else f"{text[:SHOWN_AT_MOST]}…" for text in (change.a, change.b)]
    more = f" and {len(change.folders) - 1} more" if len(change.folders) > 1 else ""
    return f"- {change.kind}, {change.name}: {values[0]} → {values[1]} ({change.folders[0]}{more})"
