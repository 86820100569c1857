"""Write a model with masks as one sparse file: the bits of the masks, and the weights that they keep.

Commands and `load_model` read it as any other model; the outputs are the same, bit for bit.
"""

import argparse
from pathlib import Path
from typing import Any

from secateur.pruning.sparse import export_sparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the model, with its masks")
    parser.add_argument("--language", help="of a model with a mask for each language: export this one (all)")
    parser.add_argument("--output", type=Path, required=True, help="folder of the sparse file and its model.json")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    file = export_sparse(arguments.model, arguments.output, arguments.language)
    dense = (arguments.model / "model.safetensors").stat().st_size
    record |= {"bytes": file.stat().st_size, "dense_bytes": dense}
    print(f"{file}: {file.stat().st_size / 1e6:.3f} MB; with zeros it was {dense / 1e6:.3f} MB")
