"""Remove a share of the channels of a model's convolutional front end: a smaller checkpoint, computing what is left.

Channels are ordered by their importance on some utterances of every language. Beside the checkpoint, removed.json lists
what is gone. If the smaller model and the masked one differ, the job stops and writes nothing.
"""

import argparse
import copy
from pathlib import Path
from typing import Any

from secateur.core.files import write_json
from secateur.heads.channels import GRADIENT, IMPORTANCES, importance, removed_at
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model, smaller
from secateur.models.surgery.channels import masked, remove_channels
from secateur.models.surgery.heads import check_compaction, made_up_batch
from secateur.scripts.head_importance import add_material, material


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_material(parser)
    parser.add_argument("--importance", default=GRADIENT, choices=IMPORTANCES, help="by which channels are ordered")
    parser.add_argument("--share", type=float, required=True, help="share of each convolution's channels, 0 to 1")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new checkpoint")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded, batches, counts = material(arguments)
    values = importance(loaded.model, arguments.importance, batches, arguments.seed)
    removed = removed_at(values, arguments.share)
    whole = load_model(arguments.model).model  # a model that has computed slopes holds tensors that cannot be copied
    model = remove_channels(copy.deepcopy(whole), removed)
    difference = check_compaction(whole, removed, model, made_up_batch(whole), masking=masked)
    save_model(arguments.output, model, smaller(loaded.config, model), loaded.tokens)
    gone = [channel._asdict() for channel in removed]
    write_json(arguments.output / "removed.json", {"channels": len(values), "removed": gone})
    record |= {"seed": arguments.seed, "utterances": counts}
    record |= {"channels": len(values), "channels_removed": len(removed), "difference": difference}
