"""Tables as files: tidy TSV, and grids as Markdown and as LaTeX."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from secateur.core.files import write_text, write_tsv
from secateur.reporting import table as specs
from secateur.reporting.grid import Cell, Grid
from secateur.reporting.registry import resolve

LONGEST_LINE = 40
"""Longer texts are broken into lines in LaTeX, in characters."""
LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "θ": r"$\theta$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "\N{NO-BREAK SPACE}": "~",
}


def write_tables(config: Mapping[str, Any], root: str | Path) -> dict[str, list[dict[str, str]]]:
    """Write every table to `root/tables` as TSV, Markdown and LaTeX; return them as `read_tables` does.

    Raises SecateurError naming the first file that is missing, or that a table reads without declaring it.
    """
    folder = Path(root) / "tables"
    rows = {table.name: specs.rows(table, config, root) for table in specs.tables()}
    for table in specs.tables():
        write_tsv(folder / f"{table.name}.tsv", specs.header(table, config), rows[table.name])
    tables = specs.read_tables(folder)
    for table in specs.tables():
        if table.view:
            grids = resolve(table.view)(tables)
            write_text(folder / f"{table.name}.md", markdown(grids))
            write_text(folder / f"{table.name}.tex", latex(grids, table.name))
    return tables


def markdown(grids: Sequence[Grid], level: int = 3) -> str:
    """All grids of a table as GitHub-flavoured Markdown, each with its title as a heading and its caption below."""
    return "\n".join(_markdown(grid, level) for grid in grids)


def latex(grids: Sequence[Grid], name: str) -> str:
    r"""All grids of a table as LaTeX floats (with the package booktabs), labelled `tab:{name}`, `tab:{name}-2`, …"""
    return "\n".join(
        _latex(grid, f"tab:{name}" + (f"-{number}" if number > 1 else "")) for number, grid in enumerate(grids, 1)
    )


def latex_escape(text: str) -> str:
    """`text` with every character that LaTeX gives a meaning replaced by one that prints as it reads."""
    return "".join(LATEX_ESCAPES.get(character, character) for character in text)


def _markdown(grid: Grid, level: int) -> str:
    def escape(text: str) -> str:
        return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")

    body = tabulate(
        [[escape(str(cell)) for cell in row] for row in grid.rows],
        headers=[escape(heading) for heading in grid.header],
        tablefmt="pipe",
        colalign=["left"] * grid.labels + ["right"] * (len(grid.header) - grid.labels),
        disable_numparse=True,
    )
    heading = f"{'#' * level} {escape(grid.title)}"
    return "\n\n".join(part for part in (heading, body, escape(grid.caption)) if part) + "\n"


def _latex(grid: Grid, tag: str) -> str:
    def cell_text(cell: Cell) -> str:
        if cell.value is None or not cell.uncertainty:
            return latex_escape(str(cell))
        return f"{latex_escape(cell.number)} {{\\scriptsize {latex_escape(cell.uncertainty)}}}"

    longest = [max((len(str(row[place])) for row in grid.rows), default=0) for place in range(grid.labels)]
    columns = "".join("l" if width <= LONGEST_LINE else r"p{0.3\linewidth}" for width in longest)
    columns += "r" * (len(grid.header) - grid.labels)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_escape(f'{grid.title}. {grid.caption}'.strip())}}}",
        rf"\label{{{tag}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(latex_escape(heading) for heading in grid.header) + r" \\",
        r"\midrule",
        *(" & ".join(cell_text(cell) for cell in row) + r" \\" for row in grid.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"
