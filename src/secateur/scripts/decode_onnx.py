"""Write a model as ONNX files, in float32 and int8, then decode test sets with ONNX Runtime.

onnx.json in --output says what was written into its folder `files` (`secateur.exported.systems`); all else is as of
`decode`, with the formats as sub-models. The language model of the search is written, and run, in the same format.
"""

import argparse
from typing import Any

from secateur.core.errors import SecateurError
from secateur.exported import FILE
from secateur.exported.systems import FORMATS, write
from secateur.models.load import language_model
from secateur.pruning.masked import load_masked
from secateur.scripts import decode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS), help="which files to write")
    decode.add_arguments(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    if any((arguments.layers, arguments.heads, arguments.exits, arguments.onnx)):
        raise SecateurError("--layers, --heads, --exits, --onnx: a whole model is exported here; leave them out")
    loaded = load_masked(arguments.model, mask=arguments.mask)
    lm = language_model(arguments.lm, loaded.tokens, "cpu") if arguments.lm else None
    arguments.onnx = arguments.output / FILE
    record["systems"] = write(loaded, lm, arguments.formats, arguments.output)["systems"]
    decode.run(arguments, record)
