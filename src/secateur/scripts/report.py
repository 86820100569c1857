"""Write the report of a study: one HTML page that opens offline, with figures and style inside.

Example: secateur report --config @study.json --root results/smoke \\
    --output results/smoke/report/index.html
"""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.jobs import json_argument
from secateur.reporting.report import write_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=json_argument, required=True, help="the study's configuration: JSON or @FILE")
    parser.add_argument("--root", type=Path, required=True, help="the study's folder")
    parser.add_argument("--tables", type=Path, help="folder of the tables; ROOT/tables if not given")
    parser.add_argument("--figures", type=Path, help="folder of the figures; ROOT/figures if not given")
    parser.add_argument("--output", type=Path, required=True, help="the page to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    tables = arguments.tables or arguments.root / "tables"
    figures = arguments.figures or arguments.root / "figures"
    write_report(arguments.config, tables, figures, arguments.output, arguments.root)
