"""Say of a study whose masks adapt whether they can change: the movement that schedules allow against dense weights.

A dense model that is not there yet is left out. `make plan` shows the same, and a run says it when it begins.
"""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.jobs import json_argument
from secateur.pruning.reach import WARNING, reaches


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", type=json_argument, required=True, help="the study's configuration: JSON or @FILE")
    parser.add_argument("--root", type=Path, required=True, help="the study's folder")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    doubts = [reach.doubt for reach in reaches(arguments.study, arguments.root) if reach.doubt]
    print("".join(f"{WARNING}{doubt}\n" for doubt in doubts), end="")
    record["doubts"] = doubts
