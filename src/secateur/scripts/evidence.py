"""Copy the tables of a finished study to docs/evidence, from which `make docs` writes docs/results.md.

Example: secateur evidence evidence-pathways
"""

import argparse
from pathlib import Path
from typing import Any

from secateur.reporting.kept import keep
from secateur.scripts.compare import folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="name of the study, or folder of its results")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the results of all studies")
    parser.add_argument("--output", type=Path, default=Path("docs/evidence"), help="folder of what is kept of studies")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    kept = keep(folder(arguments.results, arguments.study), arguments.output)
    size = sum(file.stat().st_size for file in kept.iterdir())
    print(f"{kept}: {size / 1000:.0f} kB; commit it with what `make docs` writes")
