"""Write a model without some of its encoder layers as a checkpoint of its own, with the same outputs."""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.layers.export import export
from secateur.models.surgery.layers import read_depth


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the whole model")
    parser.add_argument("--layers", type=Path, help="layers.json of a search")
    parser.add_argument("--depth", type=int, help="how many layers to keep, as --layers says which")
    parser.add_argument("--keep", type=int, nargs="+", help="or the numbers of the layers to keep, from 1")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new checkpoint")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    searched = arguments.layers is not None and arguments.depth is not None
    if searched == (arguments.keep is not None) or (arguments.layers is None) != (arguments.depth is None):
        raise SecateurError("which layers? give both --layers and --depth, or --keep alone")
    layers = read_depth(arguments.layers, arguments.depth) if searched else arguments.keep
    export(arguments.model, layers, arguments.output)
    record["layers"] = sorted(layers)
