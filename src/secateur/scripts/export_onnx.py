"""Write a model as an ONNX file: an encoder with its CTC head, or a Transformer language model.

What ONNX Runtime makes of the file in float32 is checked against torch. With --format int8 it is then quantised by
onnxruntime's own quantiser; what that costs in errors, a study shows (`export` in the configuration).
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.decoding.onnx import FLOAT32, KINDS, export_onnx, write_as
from secateur.decoding.onnx_lm import export_lm
from secateur.models.load import Loaded
from secateur.pruning.masked import load_masked


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the model, whole or smaller")
    parser.add_argument("--format", choices=KINDS, default=FLOAT32, help="of matrices of weights")
    parser.add_argument("--language", help="whose mask, of a model with one for each language")
    parser.add_argument("--output", type=Path, required=True, help="file to write, e.g. model.onnx")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded = load_masked(arguments.model, arguments.language)
    record |= write_as(arguments.format, partial(export, loaded), arguments.output)


def export(loaded: Loaded, path: Path) -> float:
    """Write the file in float32; see `export_onnx` and `export_lm`."""
    if hasattr(loaded.model, "lm"):
        return export_lm(loaded.model.lm, path)
    if "features" not in loaded.config:
        raise SecateurError(f"a model of type {loaded.config['type']} is not exported to ONNX")
    return export_onnx(loaded.model, loaded.config["features"], path)
