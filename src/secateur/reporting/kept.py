"""What the repository keeps of finished studies: in `docs/evidence/{study}` the tables that `docs/results.md` and the
README are made of, and facts of the run. A clone needs nothing else of a study to make these pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv, write_json, write_tsv
from secateur.reporting.figure import Figure, figures
from secateur.reporting.grid import Row
from secateur.reporting.registry import resolve
from secateur.reporting.report import summary
from secateur.reporting.table import Table, tables
from secateur.reporting.views import Tables

CONTENTS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "S1": (("heads", "lm", "finetune"), ("heads", "lm")),
    "S2": (("layers", "depth_rtf"), ("depth", "similarity")),
    "S3": (("table1", "table2", "table3"), ()),
    "S4": (("superb", "structured"), ("superb", "gates", "blocks")),
}
"""By document, the names of the tables and of the figures on the page."""
FOR_CAPTIONS = ("claims", "corpora", "runs", "wer")
"""Tables that are kept beside those on the page: their captions, the claims and the README are made of them."""
LEFT_OUT = ("source", "host", "versions")
"""Columns that are not kept: files that a clone does not have, names of machines, and what the facts say once."""
FACTS = "study.json"


@dataclass(frozen=True)
class Kept:
    """What is kept of a study: `facts` as `keep` wrote them, and its tables, without what is `LEFT_OUT`."""

    name: str
    facts: Mapping[str, Any]
    tables: Tables


def shown_tables(document: str) -> list[Table]:
    """The tables of a document on the page, in the order of `CONTENTS`."""
    known = {table.name: table for table in tables()}
    return [known[name] for name in CONTENTS[document][0]]


def shown_figures(document: str) -> list[Figure]:
    """The figures of a document on the page."""
    known = {figure.name: figure for figure in figures()}
    return [known[name] for name in CONTENTS[document][1]]


def names() -> list[str]:
    """The tables that are kept of a study."""
    wanted = {*FOR_CAPTIONS}
    for document, (on_page, _) in CONTENTS.items():
        wanted.update(on_page, *(figure.tables for figure in shown_figures(document)))
    return sorted(wanted)


def keep(folder: Path, evidence: Path) -> Path:
    """Copy the tables of the finished study in `folder` to `evidence/{study}`, whose path is returned.

    Raises SecateurError if the study is not finished, and naming the first table that is missing.
    """
    study = folder.resolve().name
    if not (folder / "report" / "index.html").is_file():
        raise SecateurError(
            f"{folder}: no report (report/index.html), so the study is not finished; finish it first: "
            f"make results STUDY={study}"
        )
    few = {table.name: table.kept for table in tables()}
    found = {name: read_tsv(folder / "tables" / f"{name}.tsv") for name in names()}
    for name, rows in found.items():
        with open(folder / "tables" / f"{name}.tsv", encoding="utf-8") as stream:
            columns = stream.readline().rstrip("\n").split("\t")
        kept = [column for column in columns if column not in LEFT_OUT]
        if wanted := few.get(name):
            rows = resolve(wanted)(rows)
        write_tsv(evidence / study / f"{name}.tsv", kept, ({column: row[column] for column in kept} for row in rows))
    write_json(evidence / study / FACTS, facts(study, found))
    return evidence / study


def facts(study: str, found: Tables) -> dict[str, Any]:
    """What is told of a run: in `about` what its report says, and the hours of all trainings and decodings together."""
    runs = [row | {"host": ""} for row in found["runs"]]

    def hours(column: str) -> float:
        return round(sum(float(run[column]) for run in runs if run[column]) / 3600, 2)

    about = dict(summary({**found, "runs": runs}))
    return {"study": study, "about": about, "hours": hours("seconds"), "processor_hours": hours("cpu_seconds")}


def read(evidence: Path) -> list[Kept]:
    """All studies that are kept in a folder: those for evidence first, then by name.

    Raises SecateurError naming a table that is missing.
    """
    folders = [file.parent for file in evidence.glob(f"*/{FACTS}")]
    folders.sort(key=lambda folder: (not folder.name.startswith("evidence"), folder.name))
    return [Kept(folder.name, read_json(folder / FACTS), _tables(folder)) for folder in folders]


def _tables(folder: Path) -> dict[str, list[Row]]:
    blank = dict.fromkeys(LEFT_OUT, "")
    found: dict[str, list[Row]] = {}
    for name in names():
        file = folder / f"{name}.tsv"
        if not file.is_file():
            raise SecateurError(
                f"{file}: not kept of this study; copy its tables again: secateur evidence {folder.name}"
            )
        found[name] = [blank | row for row in read_tsv(file)]
    return found
