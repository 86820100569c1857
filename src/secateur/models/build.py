"""Models from their configuration."""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.models.dropout import use_fast_dropout

# ESPnet's choice of words, in every process and on every machine; nothing that a user could act on.
warnings.filterwarnings("ignore", message=".*torch.cuda.amp.autocast", category=FutureWarning)


def build_model(config: Mapping[str, Any], tokens: Sequence[str]) -> torch.nn.Module:
    """Build a freshly initialised model. Its randomness comes from torch's global generator: seed that first.

    The configuration of a smaller model gives the whole one here, and itself by `secateur.models.load.rebuild`.
    """
    model = _type(config["type"]).build(dict(config), list(tokens))
    use_fast_dropout(model)
    return model


def _type(name: str) -> ModuleType:
    """The module of a type of model. Raises SecateurError if there is none."""
    try:
        return importlib.import_module(f"{__package__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__package__}.{name}":
            raise
        raise SecateurError(f"models of type {name!r} are not known; was this one made by another version?") from error
