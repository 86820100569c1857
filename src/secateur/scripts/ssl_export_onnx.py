"""Export an encoder, dense or pruned, to ONNX, and check what ONNX Runtime makes of it in float32 against torch."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from secateur.decoding.onnx import FLOAT32, KINDS, write_as
from secateur.ssl.checkpoints import load_upstream
from secateur.ssl.export import export_encoder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoder", type=Path, required=True, help="folder of an encoder")
    parser.add_argument("--format", choices=KINDS, default=FLOAT32, help="of matrices of weights")
    parser.add_argument("--output", type=Path, required=True, help=".onnx file to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    record |= write_as(arguments.format, partial(export_encoder, load_upstream(arguments.encoder)), arguments.output)
