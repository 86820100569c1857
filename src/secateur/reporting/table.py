"""The spec of a table, the tables that there are, and the files that they read. No heavy imports.

A table is tidy: one row per measurement, every axis a column, and a column `source` that names the files a row was
made from, relative to the study's folder and separated by spaces.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv
from secateur.reporting.registry import declared, modules_of, resolve
from secateur.reporting.results import Results


@dataclass(frozen=True)
class Table:
    """What a module in a folder `reports` declares in `TABLES`. Functions are named as `module:function`.

    Attributes:
        name: of its files.
        title: what it is about, in a few words.
        caption: what it shows, in a sentence.
        section: of the report, a key of `registry.SECTIONS`.
        columns: names the columns, or a function from the configuration to them.
        rows: names a function from `Results` to rows.
        files: from the configuration to the files that `rows` reads, relative to the study's folder.
        view: names a function from all tables, as rows of strings, to the grids that a reader sees. A table without
            one is for figures and machines: it has no Markdown and no LaTeX, and is not on the page.
        order: its place in the section.
        kept: names a function from its rows to those that `docs/evidence` keeps; "" for all.
    """

    name: str
    title: str
    caption: str
    section: str
    columns: str
    rows: str
    files: Callable[[Mapping[str, Any]], Iterable[str]]
    view: str = ""
    order: int = 100
    kept: str = ""

    @property
    def outputs(self) -> list[str]:
        """Names of the files that are written for it."""
        return [f"{self.name}.{ending}" for ending in (("tsv", "md", "tex") if self.view else ("tsv",))]


def tables() -> tuple[Table, ...]:
    """All tables, in the order of the report."""
    return declared("TABLES")


def measured(config: Mapping[str, Any]) -> list[str]:
    """Every file that the tables read, relative to the study's folder, each once."""
    return list(dict.fromkeys(file for table in tables() for file in table.files(config)))


def rows(table: Table, config: Mapping[str, Any], root: str | Path) -> list[dict[str, Any]]:
    """The rows of a table, from the files of the study in `root`.

    Raises SecateurError if they are made from a file that `table.files` does not name.
    """
    results = Results(config, Path(root))
    made = list(resolve(table.rows)(results))
    missing = sorted(results.read.difference(table.files(config)))
    if missing:
        raise SecateurError(
            f"table {table.name}: its rows read {missing[0]}, which its `files` does not name; add it there, or the "
            "table is not made again when the file changes"
        )
    return made


def header(table: Table, config: Mapping[str, Any]) -> Sequence[str]:
    """The columns of a table in a study."""
    columns = resolve(table.columns)
    return columns(config) if callable(columns) else columns


def read_tables(folder: str | Path) -> dict[str, list[dict[str, str]]]:
    """Every table, as rows of strings, by name."""
    return {table.name: read_tsv(Path(folder) / f"{table.name}.tsv") for table in tables()}


def functions() -> list[str]:
    """What decides the tables beside the study's files: their names and functions, without titles and captions."""
    return sorted(f"{table.name} {table.columns} {table.rows} {table.view}" for table in tables())


def function_modules() -> tuple[str, ...]:
    """The modules of these functions, for the fingerprint of the command that writes the tables."""
    return modules_of(text for table in tables() for text in (table.columns, table.rows, table.view))
