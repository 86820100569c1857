"""Remove a share of the channels of a model's convolutional front end: a smaller checkpoint, computing what is left.

Channels are ordered by their importance on some utterances of every language. Beside the checkpoint, removed.json lists
what is gone. If the smaller model and the masked one differ, the job stops and writes nothing.
"""

import argparse
import copy
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.core.files import write_json
from secateur.heads.channels import GRADIENT, IMPORTANCES, importance, removed_at
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model, smaller
from secateur.models.surgery.channels import masked, remove_channels
from secateur.models.surgery.heads import made_up_batch
from secateur.scripts.head_importance import add_material, material

TOLERANCE = 1e-4
"""Of the largest value: more may the smaller model not be off the masked one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_material(parser)
    parser.add_argument("--importance", default=GRADIENT, choices=IMPORTANCES, help="by which channels are ordered")
    parser.add_argument("--share", type=float, required=True, help="share of each convolution's channels, 0 to 1")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new checkpoint")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded, batches, counts = material(arguments)
    values = importance(loaded.model, arguments.importance, batches, arguments.seed)
    removed = removed_at(values, arguments.share)
    whole = load_model(arguments.model)
    model = remove_channels(copy.deepcopy(whole.model), removed)
    difference = check(whole.model, removed, model)
    save_model(arguments.output, model, smaller(whole.config, model), whole.tokens)
    gone = [channel._asdict() for channel in removed]
    write_json(arguments.output / "removed.json", {"channels": len(values), "removed": gone})
    record |= {"seed": arguments.seed, "utterances": counts}
    record |= {"channels": len(values), "channels_removed": len(removed), "difference": difference}


@torch.no_grad()
def check(whole: torch.nn.Module, removed: list, compacted: torch.nn.Module) -> float:
    """The largest difference of two models' encoder outputs, as a share of the largest value.

    Raises SecateurError if that is above TOLERANCE, or not a number.
    """
    batch = made_up_batch(whole)
    heard = batch["speech"], batch["speech_lengths"]
    with masked(whole, removed):
        expected = _encoded(whole, heard)
    difference = float((_encoded(compacted, heard) - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    if not difference <= TOLERANCE:
        raise SecateurError(
            f"the smaller model is off the masked one's by {difference:.2e} of the largest value, more than "
            f"{TOLERANCE:.0e}: its channels were not removed exactly; please report this"
        )
    return difference


def _encoded(model: torch.nn.Module, heard: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    encoded, lengths = model.encode(*heard)
    encoded = encoded[0] if isinstance(encoded, tuple) else encoded
    return encoded[torch.arange(encoded.shape[1]) < lengths[:, None]]
