"""Draw the figures of a study (SVG) from its tables, and from nothing else.

Example: secateur figures --tables results/smoke/tables --output results/smoke/figures
"""

import argparse
from pathlib import Path
from typing import Any

from secateur.reporting.drawing import write_figures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--output", type=Path, required=True, help="folder for the figures")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    write_figures(arguments.tables, arguments.output)
