"""Write a streaming transducer as ONNX files, checked piece by piece against torch with ONNX Runtime."""

import argparse
from pathlib import Path
from typing import Any

from secateur.decoding.streaming_export import export_stream
from secateur.models.load import load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the transducer, whole or smaller")
    parser.add_argument("--output", type=Path, required=True, help="folder to write: encoder, predictor, joiner")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded = load_model(arguments.model)
    record["difference"] = export_stream(loaded.model, loaded.config["features"], loaded.tokens, arguments.output)
