"""Remove a share of the channels of a model's convolutional front end: a smaller checkpoint, computing what is left.

Channels are ordered by their importance on some utterances of every language. Beside the checkpoint, removed.json lists
what is gone. If the smaller model and the masked one differ, the job stops and writes nothing.
"""

import argparse
import copy
from pathlib import Path
from typing import Any

from secateur.core.files import write_json
from secateur.heads.parts import CHANNELS, GRADIENT, IMPORTANCES, Kind, importance, removed_at
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model, smaller
from secateur.models.surgery.heads import check_compaction, made_up_batch
from secateur.scripts.head_importance import add_material, material


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_material(parser)
    parser.add_argument("--importance", default=GRADIENT, choices=IMPORTANCES, help="by which they are ordered")
    parser.add_argument("--share", type=float, required=True, help="share of each convolution or network, 0 to 1")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new checkpoint")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    remove(arguments, record, CHANNELS)


def remove(arguments: argparse.Namespace, record: dict[str, Any], kind: Kind) -> None:
    """Remove parts of a kind, as the options say, and note how many there were."""
    loaded, batches, counts = material(arguments)
    values = importance(loaded.model, kind, arguments.importance, batches, arguments.seed)
    removed = removed_at(values, kind, arguments.share)
    whole = load_model(arguments.model).model  # a model that has computed slopes holds tensors that cannot be copied
    model = kind.remove(copy.deepcopy(whole), removed)
    difference = check_compaction(whole, removed, model, made_up_batch(whole), masking=kind.masked)
    save_model(arguments.output, model, smaller(loaded.config, model), loaded.tokens)
    gone = [part._asdict() for part in removed]
    write_json(arguments.output / "removed.json", {kind.name: len(values), "removed": gone})
    record |= {"seed": arguments.seed, "utterances": counts}
    record |= {kind.name: len(values), f"{kind.name}_removed": len(removed), "difference": difference}
