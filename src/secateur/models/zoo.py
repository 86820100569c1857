"""The zoo: trained models that are small enough for a repository, each in a folder `pretrained/NAME` with its record.

Weights are stored in half precision; `secateur.models.load` makes float32 of them again, as every model computes
in that.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from secateur.core.errors import SecateurError
from secateur.models.checkpoint import save_model
from secateur.models.load import Loaded
from secateur.models.tensors import save_tensors

LARGEST = 8_000_000
"""Bytes of a `model.safetensors`."""
WHOLE = "frontend."
"""Begins the names of tensors that stay as they are: a handful of statistics of the features."""


def halved(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The float32 tensors as float16, but for those of the front end; all others as they are.

    Raises SecateurError for a value that float16 has not.
    """
    rounded = {}
    for name, value in tensors.items():
        if value.dtype == torch.float32 and not name.startswith(WHOLE):
            value = value.half()
            if not value.isfinite().all():
                raise SecateurError(
                    f"{name}: a value above 65504, which half precision has not; export it with --whole"
                )
        rounded[name] = value
    return rounded


def check_size(folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise SecateurError when weights would make a file of more than `LARGEST` bytes."""
    size = sum(value.numel() * value.element_size() for value in tensors.values())
    if size > LARGEST:
        raise SecateurError(
            f"{folder}: the weights take {size / 1e6:.1f} MB; allowed: {LARGEST / 1e6:g} MB; train a smaller model"
        )


def write(folder: Path, loaded: Loaded, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write `tensors`, those of the model or their `halved`, and the model's description into `folder`.

    Raises SecateurError when the file would be larger than `LARGEST`, and then writes nothing.
    """
    check_size(folder, tensors)
    save_model(folder, loaded.model, loaded.config, loaded.tokens)
    save_tensors(folder / "model.safetensors", tensors)
