"""The report: one HTML page that holds its figures and its style, opens offline, and links each number to its source.

It reads the tables, the figures and the configuration. The same files give the same bytes.
"""

import base64
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import yaml
from markupsafe import Markup, escape

from secateur.core.errors import SecateurError
from secateur.core.files import write_text
from secateur.reporting import answers
from secateur.reporting.clips import embedded
from secateur.reporting.figure import EMPTY, Figure
from secateur.reporting.figure import figures as all_figures
from secateur.reporting.grid import Clip, Grid
from secateur.reporting.looks import SCRIPT, STYLE
from secateur.reporting.page import TEMPLATE
from secateur.reporting.rates import rate
from secateur.reporting.registry import SECTIONS, resolve
from secateur.reporting.table import Table, read_tables
from secateur.reporting.table import tables as all_tables
from secateur.reporting.views import Tables, by_corpus, effort, synthetic

WIDE, VERY_WIDE = 8, 12
"""Columns from which on tables have smaller letters."""
LETTERS = 150
"""In the longest cells of all columns together, for the same."""


def write_report(
    config: Mapping[str, Any],
    tables: str | Path,
    figures: str | Path,
    output: str | Path,
    root: str | Path,
    so_far: Mapping[str, Any] | None = None,
) -> None:
    """Write the page to `output`. `root` is the study's folder, which the `source` columns are relative to.

    Of a run that goes on, `so_far` says when the page was `made`, of which `parts`, and which page has the `status`:
    then the page says that it is not the report.

    Raises SecateurError naming the first table or figure that is missing.
    """
    rows = read_tables(tables)
    upwards = Path(os.path.relpath(root, Path(output).parent)).as_posix()
    environment = jinja2.Environment(autoescape=True, trim_blocks=False, undefined=jinja2.StrictUndefined)
    environment.filters["link"] = lambda path: quote(f"{upwards}/{path}")
    environment.filters["code"] = code
    environment.filters["width"] = width
    environment.filters["plain"] = lambda text: text.replace("`", "")
    named = rate(rows)
    views = {table.name: _view(table, rows) for table in all_tables() if table.view}
    pictures = {figure.name: _picture(figure, Path(figures), named) for figure in all_figures()}
    shown = [figure for figure in all_figures() if pictures[figure.name]]
    sections = [
        {
            "id": section,
            "title": named(title),
            "tables": [
                views[table.name]
                for table in all_tables()
                if table.section == section and table.view and views[table.name]["grids"]
            ],
            "figures": [pictures[figure.name] for figure in shown if figure.section == section],
        }
        for section, title in SECTIONS.items()
    ]
    page = environment.from_string(TEMPLATE).render(
        clips={} if so_far else _clips(config, Path(root), (grid for view in views.values() for grid in view["grids"])),
        title=("Not finished: " if so_far else "")
        + (config.get("report", {}).get("title") or f"Study {config['study']}"),
        so_far=so_far,
        study=config["study"],
        notes=config.get("report", {}).get("notes", ""),
        style=Markup(STYLE),
        script=Markup(SCRIPT),
        newest=max((_moment(run["started"]) for run in rows["runs"]), default="never"),
        synthetic=[corpus for corpus in by_corpus(rows["corpora"]) if synthetic(rows, corpus)],
        keys=answers.keys(rows),
        summary=summary(rows),
        sections=[section for section in sections if section["tables"] or section["figures"]],
        tables=[{"file": f"{table.name}.tsv", "caption": table.caption} for table in all_tables()],
        figures=[figure.file for figure in shown],
        configuration=yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True, width=100),
    )
    write_text(output, page.strip() + "\n")


def _clips(config: Mapping[str, Any], root: Path, grids: Iterable[Grid]) -> Mapping[Clip, str]:
    """The first clips of every table, at most `report.audio` of each."""
    most, wanted = config.get("report", {}).get("audio", 0), []
    for grid in grids:
        wanted += list(dict.fromkeys(cell.clip for row in grid.rows for cell in row if cell.clip))[:most]
    return embedded(root, wanted) if wanted else {}


def summary(tables: Tables) -> list[tuple[str, str]]:
    """What was run: data, models, budget, hardware, versions, dates."""
    runs = tables["runs"]
    trained = [run for run in runs if run["stage"] == "model"]
    lms = [run for run in runs if run["stage"] == "lm"]
    decoded = [run for run in runs if run["stage"] == "decode"]
    speech = []
    for corpus, rows in by_corpus(tables["corpora"]).items():
        kind = "SYNTHETIC speech" if synthetic(tables, corpus) else "recordings of people"
        hours = sum(float(row["hours"]) for row in rows)
        utterances = sum(int(row["utterances"]) for row in rows)
        languages = ", ".join(dict.fromkeys(row["language"] for row in rows))
        speech.append(f"{corpus}: {kind}, {languages}; {utterances:,} utterances, {hours:.2f} h with dev and test")
    models = _joined(f"{run['model']} ({run['method']})" for run in trained)
    moments = [_moment(run["started"]) for run in runs]
    facts = [
        ("Data", "; ".join(speech)),
        ("Models", f"{len(trained)} trained: {models}"),
        ("Language models", f"{len(lms)} trained: {_joined(run['model'] for run in lms)}" if lms else "none"),
        ("Decodings", f"{len(decoded)}, by {_joined(run['search'] for run in decoded)}"),
        ("Budget", f"{effort(trained)}, for each" if trained else ""),
        ("Seeds", ", ".join(dict.fromkeys(run["seed"] for run in trained))),
        ("Hardware", _joined(_machine(run) for run in runs)),
        ("Git revision", _joined(run["git"] or "unknown" for run in runs)),
        ("Versions", _joined(run["versions"] for run in runs)),
        (
            "Runs",
            f"from {min(moments)} to {max(moments)}" if moments else "",
        ),
    ]
    return [(name, text) for name, text in facts if text]


def code(text: str) -> Markup:
    """A text in which what stands between backquotes is code."""
    parts = [str(escape(part)) for part in text.split("`")]
    if len(parts) % 2 == 0:  # a quote that is never closed
        return Markup("`".join(parts))
    return Markup("".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts)))


def width(grid: Grid) -> Markup:
    """The class of a table that is narrower with small letters, so that more of its columns are seen at once."""
    longest = [max(len(str(row[place])) for row in grid.rows) for place in range(len(grid.header)) if grid.rows]
    if len(grid.header) > VERY_WIDE:
        return Markup(' class="wide widest"')
    return Markup(' class="wide"' if len(grid.header) > WIDE or sum(longest) > LETTERS else "")


def _machine(run: Mapping[str, str]) -> str:
    device = run["processor"] if run["device"] == "cpu" else f"{run['device']} beside {run['processor']}"
    threads = f", {run['threads']} thread{'s' if run['threads'] != '1' else ''} a job" if run["threads"] else ""
    host = f" ({run['host']})" if run["host"] else ""
    return f"{device}{host}{threads}"


def _joined(texts) -> str:
    return "; ".join(dict.fromkeys(texts))


def _view(table: Table, rows: Tables) -> dict[str, Any]:
    grids: list[Grid] = resolve(table.view)(rows)
    return {"name": table.name, "grids": grids, "files": table.outputs}


def _picture(figure: Figure, folder: Path, named: Callable[[str], str]) -> dict[str, str] | None:
    """What the page shows of a figure; None where the study has no data for it."""
    path = folder / figure.file
    try:
        picture = path.read_bytes()
    except FileNotFoundError as error:
        raise SecateurError(f"{path}: no such file; draw the figures first (secateur figures)") from error
    if f"<dc:description>{EMPTY}<".encode() in picture:
        return None
    data = base64.b64encode(picture).decode()
    shown = {"title": named(figure.title), "caption": named(figure.caption)}
    shown |= {"data": f"data:image/svg+xml;base64,{data}", "tables": [f"{name}.tsv" for name in figure.tables]}
    return shown


def _moment(started: str) -> str:
    """The `started` of a run.json, to the minute."""
    return f"{started[:16].replace('T', ' ')} UTC"
