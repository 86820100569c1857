"""Collect the results of a study into tidy tables (TSV), and the same tables as Markdown and LaTeX.

Example: secateur tables --study @study.json --root results/smoke
"""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.jobs import json_argument
from secateur.reporting.render import write_tables


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--study", type=json_argument, required=True, help="the study's configuration: JSON or @FILE; decides the rows"
    )
    parser.add_argument("--root", type=Path, required=True, help="the study's folder; tables go to ROOT/tables")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    write_tables(arguments.study, arguments.root)
