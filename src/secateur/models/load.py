"""Models from their checkpoints, smaller ones too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.models.build import build_model
from secateur.models.checkpoint import read_checkpoint
from secateur.models.surgery.channels import keep_channels, kept_channels
from secateur.models.surgery.heads import keep_heads, kept_heads
from secateur.models.surgery.layers import keep_layers, layer_numbers


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode with what is needed to rebuild it."""

    model: torch.nn.Module
    config: dict[str, Any]
    tokens: list[str]


def smaller(config: Mapping[str, Any], model: torch.nn.Module) -> dict[str, Any]:
    """The configuration of a model that lost layers, heads or channels, as its checkpoint holds it, for `rebuild`.

    `encoder.kept` lists the encoder layers that it has, `kept_heads` the heads of those, `kept_channels` the channels
    of the convolutions before them. All else is as in `config`,
    that of the whole model or of one that it was made from. Language models, whose layers have no key of their own,
    have these in `kept_layers`.
    """
    if "encoder" not in config:
        return {**config, "kept_layers": layer_numbers(model), "kept_heads": kept_heads(model)}
    encoder = {**config["encoder"], "kept": layer_numbers(model)}
    channels = kept_channels(model)
    kept = {"kept_channels": channels} if channels else {}
    return {**config, "encoder": encoder, "kept_heads": kept_heads(model), **kept}


def whole(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of the whole model that a smaller one was made from; of a whole model its own."""
    encoder = {key: value for key, value in config["encoder"].items() if key != "kept"}
    kept = ("kept_heads", "kept_channels")
    return {key: value for key, value in config.items() if key not in kept} | {"encoder": encoder}


def rebuild(config: Mapping[str, Any], tokens: Sequence[str]) -> torch.nn.Module:
    """Build a model, freshly initialised, at the size of its checkpoint; of a smaller one see `smaller`."""
    model = build_model(config, tokens)
    if channels := config.get("kept_channels"):
        keep_channels(model, channels)
    if heads := config.get("kept_heads"):  # before layers: heads of a layer that went later are still listed
        keep_heads(model, heads)
    if kept := config.get("kept_layers") or config.get("encoder", {}).get("kept"):
        keep_layers(model, kept)
    return model


def load_model(folder: str | Path, device: str | torch.device = "cpu", language: str | None = None) -> Loaded:
    """Rebuild a checkpoint, strictly, in evaluation mode.

    Args:
        language: of a sparse checkpoint with a mask for each language, whose mask the model gets.

    Raises SecateurError when files are missing, truncated, of another format, or do not fit one another.
    """
    folder = Path(folder)
    found = read_checkpoint(folder, language)
    try:
        model = rebuild(found.config, found.tokens)
    except SecateurError as error:
        raise SecateurError(f"{folder / 'model.json'}: {error}") from error
    try:
        model.load_state_dict(found.tensors, strict=True)
    except RuntimeError as error:
        raise SecateurError(f"{folder}: model.safetensors does not fit model.json: {error}") from error
    return Loaded(model.to(device).eval(), found.config, found.tokens)


def language_model(folder: str | Path, tokens: Sequence[str], device: str | torch.device) -> torch.nn.Module:
    """The scorer of the language model in `folder`, which must be over these tokens.

    Raises SecateurError when it is not, or no language model.
    """
    loaded = load_model(folder, device)
    if not hasattr(loaded.model, "lm"):
        raise SecateurError(f"{folder}: holds a model of type {loaded.config['type']!r}, not a language model")
    if loaded.tokens != list(tokens):
        raise SecateurError(
            f"{folder}: has {len(loaded.tokens)} tokens that are not the acoustic model's; train it again"
        )
    return loaded.model.lm
