"""Write a streaming transducer as ONNX files, checked piece by piece against torch with ONNX Runtime.

With --format int8 the files that were checked are then quantised by onnxruntime's own quantiser; what that costs in
errors, a study shows (`streaming` in the configuration).
"""

import argparse
from pathlib import Path
from typing import Any

from secateur.decoding.onnx import FLOAT32, KINDS
from secateur.decoding.streaming import StreamingTransducer
from secateur.decoding.streaming_export import export_stream
from secateur.models.load import load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the transducer, whole or smaller")
    parser.add_argument("--format", choices=KINDS, default=FLOAT32, help="of matrices of weights")
    parser.add_argument("--output", type=Path, required=True, help="folder to write: encoder, predictor, joiner")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded = load_model(arguments.model)
    given = loaded.config["features"], loaded.tokens, arguments.output, arguments.format
    record["difference"] = export_stream(loaded.model, *given)
    record["bytes"] = StreamingTransducer(arguments.output).bytes
