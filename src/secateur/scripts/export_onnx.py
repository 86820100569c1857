"""Write a model's encoder and CTC head as an ONNX file, checked against torch with ONNX Runtime."""

import argparse
from pathlib import Path
from typing import Any

from secateur.decoding.onnx import export_onnx
from secateur.models.load import load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the model, whole or smaller")
    parser.add_argument("--output", type=Path, required=True, help="file to write, e.g. model.onnx")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded = load_model(arguments.model)
    record["difference"] = export_onnx(loaded.model, loaded.config["features"], arguments.output)
