"""Measure what a model costs: parameters, bytes on disk, arithmetic per second of audio, memory."""

import argparse
from pathlib import Path
from typing import Any

from secateur.files import write_json
from secateur.jobs import job
from secateur.models import load_model
from secateur.size import size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--output", type=Path, required=True, help="size.json to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded = load_model(arguments.model)
    result = size(loaded.model, loaded.config["features"])
    write_json(arguments.output, result | {"bytes": (arguments.model / "model.safetensors").stat().st_size})


if __name__ == "__main__":
    job(__doc__, add_arguments, run)
