"""Models by type, and their checkpoints.

A model is built from a plain dictionary (an entry of `models` or `language_models` in the configuration) and a token
list. A checkpoint is a folder with `model.safetensors` and `model.json`, which holds that dictionary and the token
list: it rebuilds its model by itself and loads strictly.

Every model answers `model(**tensors) -> (loss, statistics, weight)`, `weight` being the number of utterances, and
acoustic models also `model.encode(speech (B, T, F), lengths (B,)) -> (encoder_out (B, T', D), lengths (B,))`.
To add a type, write `secateur/models/{type}.py` with `build(config, tokens) -> Module`, and its keys in the schema.
"""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from secateur.errors import SecateurError
from secateur.files import read_json, write_json, written_aside
from secateur.models.dropout import use_fast_dropout

FORMAT = 1

# ESPnet's choice of words, in every process and on every machine; nothing that a user could act on.
warnings.filterwarnings("ignore", message=".*torch.cuda.amp.autocast", category=FutureWarning)


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode with what is needed to rebuild it."""

    model: torch.nn.Module
    config: dict[str, Any]
    tokens: list[str]


def build_model(config: Mapping[str, Any], tokens: Sequence[str]) -> torch.nn.Module:
    """Build a freshly initialised model. Its randomness comes from torch's global generator: seed that first.

    In the checkpoint of a smaller model, `encoder.kept` lists the encoder layers that it has, `kept_heads` the heads.
    """
    from secateur.layers.depth import keep_layers  # reads and writes checkpoints itself
    from secateur.structured.heads import keep_heads

    model = importlib.import_module(f"{__name__}.{config['type']}").build(dict(config), list(tokens))
    use_fast_dropout(model)
    if heads := config.get("kept_heads"):  # before layers: heads of a layer that went later are still listed
        keep_heads(model, heads)
    if kept := config.get("encoder", {}).get("kept"):
        keep_layers(model, kept)
    return model


def save_model(folder: str | Path, model: torch.nn.Module, config: Mapping[str, Any], tokens: Sequence[str]) -> None:
    """Write `model.safetensors` and `model.json` into `folder`."""
    folder = Path(folder)
    save_tensors(folder / "model.safetensors", model.state_dict())
    write_json(folder / "model.json", {"format": FORMAT, "config": dict(config), "tokens": list(tokens)})


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> Loaded:
    """Rebuild a checkpoint, strictly, in evaluation mode.

    Raises SecateurError when files are missing, truncated, of another format, or do not fit one another.
    """
    folder = Path(folder)
    description = read_json(folder / "model.json")
    if description.get("format") != FORMAT:
        raise SecateurError(
            f"{folder / 'model.json'}: checkpoint format {description.get('format')!r}, this version reads {FORMAT}; "
            "make it again with this version"
        )
    model = build_model(description["config"], description["tokens"])
    state = load_tensors(folder / "model.safetensors")
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise SecateurError(f"{folder}: model.safetensors does not fit model.json: {error}") from error
    broken = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise SecateurError(f"{folder / 'model.safetensors'}: {broken[0]} holds NaN or infinity; train the model again")
    return Loaded(model.to(device).eval(), description["config"], description["tokens"])


def save_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors by name as safetensors, in one step."""
    with written_aside(path) as aside:
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, aside)


def load_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file. Raises SecateurError naming the file when it is missing or truncated."""
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise SecateurError(f"{path}: no such file; the job that makes it has not run") from error
    except (SafetensorError, OSError) as error:
        raise SecateurError(f"{path}: not a whole safetensors file ({error}); delete it and run again") from error
