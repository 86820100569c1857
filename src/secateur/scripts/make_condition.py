"""Make a test set under a condition from another one: noise, a room, a telephone, another speed, loudness, corpus."""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.jobs import json_argument
from secateur.speech.made import make


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="data directory to change")
    parser.add_argument("--name", required=True, help="name of the condition, from which chance is drawn")
    parser.add_argument(
        "--condition", type=json_argument, required=True, help="its entry of the configuration, with all its keys"
    )
    parser.add_argument("--alphabet", type=json_argument, help="JSON: case and apostrophe of the texts")
    parser.add_argument("--output", type=Path, required=True, help="data directory to write, recording included")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    made = make(arguments.data, arguments.output, arguments.name, arguments.condition, arguments.alphabet)
    record["utterances"] = len(made)
