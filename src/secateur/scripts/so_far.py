"""Make a page of what a run has finished so far, as its report would be if the rest were not in the study.

The page is `results/{study}/so-far/index.html`. It says that it is not the report, and what is still to come. The run
makes it by itself; the folder goes when the report is there. Nothing that the report is made of is read from it.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_tsv
from secateur.overview import commands
from secateur.reporting.drawing import write_figures
from secateur.reporting.render import write_tables
from secateur.reporting.report import write_report
from secateur.scripts import masks, sizes, timing
from secateur.study.paths import Paths
from secateur.study.runs import LEXICONS
from secateur.study.timing import families
from secateur.watch import forecast, parts, plan
from secateur.watch.page import FOLDER, STATUS

MADE_ANEW = ("tables", "figures", "report", *parts.OF_ALL, parts.TIMES.strip("/"), LEXICONS, FOLDER)
"""Of the study's folder, what is made for the page, so that nothing of the report itself is touched."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", help="name of the study (the one whose run began last)")
    parser.add_argument("--directory", type=Path, default=Path(), help="the folder of the run (here)")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    directory = arguments.directory
    logs = directory / plan.newest(directory, arguments.study)
    config, run_plan = read_json(logs / plan.CONFIGURATION), plan.read(logs / plan.NAME)
    root = directory / "results" / config["study"]
    states = forecast.read_states(run_plan, directory)
    unfinished = {
        file for state in states.values() if state.status != forecast.DONE for file in state.job.outputs
    }  # of an earlier run, perhaps
    name = f"results/{config['study']}"

    def there(file: str) -> bool:
        return f"{name}/{file}" not in unfinished and (root / file).exists()

    chosen = parts.finished(config, there)
    if not chosen:
        raise SecateurError(f"{root}: no dense model has been decoded yet; secateur status says when one will be")
    smaller = parts.reduced(config, chosen)
    folder = root / FOLDER
    link(root, folder)
    measure(smaller, folder)
    bring_times(smaller, folder, there)
    write_tables(smaller, folder)
    write_figures(folder / "tables", folder / "figures")
    notice = {"made": time.strftime("%H:%M"), "parts": [part.name for part in chosen], "status": STATUS}
    write_report(smaller, folder / "tables", folder / "figures", folder / "index.html", folder, so_far=notice)


def link(root: Path, folder: Path) -> None:
    """Let `folder` look like the study's folder, but for what is made anew in it."""
    folder.mkdir(exist_ok=True)
    for entry in root.iterdir():
        place = folder / entry.name
        if entry.name not in MADE_ANEW and not place.is_symlink():
            place.symlink_to(Path("..") / entry.name)


def bring_times(config: Mapping[str, Any], folder: Path, there: Callable[[str], bool]) -> None:
    """Link the times of the families that were timed, and write tables without rows for the others."""
    for family in families(config):
        for file, columns in ((family.file, timing.COLUMNS), (family.utterances_file, timing.UTTERANCE_COLUMNS)):
            place = folder / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            if there(family.file):
                place.symlink_to(Path(*[".."] * len(Path(file).parts)) / file)
            else:
                write_tsv(place, columns, [])


def measure(config: Mapping[str, Any], folder: Path) -> None:
    """Write what the tables want to know of all models together, and what searches make of the training text."""
    directory = folder.parents[2]  # what the study's paths are relative to
    asked = commands.sizes(Paths(config)).options
    lexicons = {
        name: made | {"texts": [directory / file for file in made["texts"]], "tokens": directory / made["tokens"]}
        for name, made in (asked["lexicons"] or {}).items()
    }
    sizes.run(
        argparse.Namespace(
            study=config, root=folder, layers=asked["layers"] or {}, lms=asked["lms"] or [], lexicons=lexicons,
            output=folder / parts.OF_ALL[0],
        ),
        {},
    )  # fmt: skip
    masks.run(argparse.Namespace(study=config, root=folder, output=folder / parts.OF_ALL[1]), {})
