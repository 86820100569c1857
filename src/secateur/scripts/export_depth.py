"""Write a model without some of its layers as a checkpoint of its own, with the same outputs."""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.layers.export import export
from secateur.models.surgery.layers import Kept, read_depth
from secateur.models.types import ENCODER, HALVES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the whole model")
    parser.add_argument("--layers", type=Path, help="layers.json of a search")
    parser.add_argument("--depth", type=int, help="how many layers to keep, as --layers says which")
    parser.add_argument("--keep", type=int, nargs="+", help="or the numbers of the layers to keep, from 1")
    parser.add_argument("--of", choices=HALVES, help="whose layers --keep names (the encoder's)")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new checkpoint")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    searched = arguments.layers is not None and arguments.depth is not None
    if searched == (arguments.keep is not None) or (arguments.layers is None) != (arguments.depth is None):
        raise SecateurError("which layers? give both --layers and --depth, or --keep alone")
    if searched and arguments.of:
        raise SecateurError("--of goes with --keep; the file of --layers says whose layers it is about")
    if searched:
        kept = read_depth(arguments.layers, arguments.depth)
    else:
        kept = Kept(tuple(sorted(arguments.keep)), arguments.of or ENCODER)
    export(arguments.model, kept.layers, arguments.output, kept.of)
    record |= {"layers": list(kept.layers), "of": kept.of}
