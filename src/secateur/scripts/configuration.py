"""Write the reference of all keys of a study, as Markdown: docs/configuration.md."""

import argparse
from pathlib import Path
from typing import Any

from secateur.config.reference import markdown
from secateur.core.files import write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, required=True, help="file to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    write_text(arguments.output, markdown())
