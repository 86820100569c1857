"""Write docs/results.md, its figures and the README's numbers from docs/evidence: `make docs` calls it."""

import argparse
from pathlib import Path
from typing import Any

from secateur.reporting.results_page import write_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--evidence", type=Path, default=Path("docs/evidence"), help="folder of what is kept of studies"
    )
    parser.add_argument("--studies", type=Path, default=Path("workflow/studies"), help="folder of their configurations")
    parser.add_argument("--output", type=Path, default=Path("docs/results.md"), help="the page; figures go beside it")
    parser.add_argument("--readme", type=Path, default=Path("README.md"), help="the file that quotes the default study")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    write_results(arguments.evidence, arguments.studies, arguments.output, arguments.readme)
