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
from secateur.models.surgery.heads import has_all_heads, keep_heads, kept_heads
from secateur.models.surgery.layers import has_decoder, keep_layers, layer_numbers
from secateur.models.surgery.units import keep_units, kept_units
from secateur.models.types import DECODER

PARTS = {
    "kept_channels": (keep_channels, kept_channels),
    "kept_heads": (keep_heads, kept_heads),
    "kept_units": (keep_units, kept_units),
}
"""Parts that the configuration of a smaller model lists: what removes all others, and what says which there are."""


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode with what is needed to rebuild it."""

    model: torch.nn.Module
    config: dict[str, Any]
    tokens: list[str]


def has_library_form(loaded: Loaded) -> bool:
    """Whether all layers have the heads, widths and units that libraries build them with: weights and whole layers
    alone may be gone."""
    upstream = loaded.config.get("upstream") or {}
    parts = (loaded.config.get(key) for key in ("shapes", "kept_channels", "kept_units"))
    return not any(parts) and not upstream.get("layers") and has_all_heads(loaded.model)


def smaller(config: Mapping[str, Any], model: torch.nn.Module) -> dict[str, Any]:
    """The configuration of a model that lost layers or parts of them, as its checkpoint holds it, for `rebuild`.

    `encoder.kept` lists the encoder layers that it has, `decoder.kept` those of an attention decoder, `kept_heads` the
    heads of both, `kept_units` the units of their feed-forward networks, `kept_channels` the channels of the
    convolutions before them. All else is as in `config`, that of the whole model or of one that it was made from.
    Language models, whose layers have no key of their own, have these in `kept_layers`.
    """
    kept = {key: found for key, (_, kept_of) in PARTS.items() if (found := kept_of(model))}
    if "encoder" not in config:
        return {**config, "kept_layers": layer_numbers(model), **kept}
    if has_decoder(model):
        kept["decoder"] = {**config["decoder"], "kept": layer_numbers(model, DECODER)}
    return {**config, "encoder": {**config["encoder"], "kept": layer_numbers(model)}, **kept}


def whole(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of the whole model that a smaller one was made from; of a whole model its own."""
    halves = {
        half: {key: value for key, value in config[half].items() if key != "kept"}
        for half in ("encoder", "decoder")
        if config.get(half)
    }
    return {key: value for key, value in config.items() if key not in PARTS} | halves


def rebuild(config: Mapping[str, Any], tokens: Sequence[str]) -> torch.nn.Module:
    """Build a model, freshly initialised, at the size of its checkpoint; of a smaller one see `smaller`."""
    model = build_model(config, tokens)
    for key, (keep, _) in PARTS.items():  # before layers: parts of a layer that went later may still be listed
        if kept := config.get(key):
            keep(model, kept)
    if kept := config.get("kept_layers") or config.get("encoder", {}).get("kept"):
        keep_layers(model, kept)
    if has_decoder(model) and (kept := (config.get("decoder") or {}).get("kept")):
        keep_layers(model, kept, DECODER)
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
