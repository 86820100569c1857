"""Models by type, and their checkpoints.

A model is built from a plain dictionary (an entry of `models` or `language_models` in the configuration) and a token
list. A checkpoint is a folder with `model.safetensors` and `model.json`, which holds that dictionary and the token
list: it rebuilds its model by itself and loads strictly.

Every model answers `model(**tensors) -> (loss, statistics, weight)`, `weight` being the number of utterances, and
acoustic models also `model.encode(speech (B, T, F), lengths (B,)) -> (encoder_out (B, T', D), lengths (B,))`.
To add a type, write `secateur/models/{type}.py` with `build(config, tokens) -> Module`, and its keys in the schema.
"""

import hashlib
import importlib
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json, written_aside
from secateur.core.foreign import pointer
from secateur.models.dropout import use_fast_dropout

FORMAT = 1
HEADER, CHECKSUM = "secateur", "sha256"

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
    from secateur.models.surgery.heads import keep_heads
    from secateur.models.surgery.layers import keep_layers  # reads and writes checkpoints itself

    model = _type(config["type"]).build(dict(config), list(tokens))
    use_fast_dropout(model)
    if heads := config.get("kept_heads"):  # before layers: heads of a layer that went later are still listed
        keep_heads(model, heads)
    if kept := config.get("encoder", {}).get("kept"):
        keep_layers(model, kept)
    return model


def _type(name: str) -> ModuleType:
    """The module of a type of model. Raises SecateurError if there is none."""
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise SecateurError(f"models of type {name!r} are not known; was this one made by another version?") from error


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
    missing = [key for key in ("config", "tokens") if key not in description]
    if missing:
        raise SecateurError(f"{folder / 'model.json'}: lacks {missing[0]!r}; make the model again")
    try:
        model = build_model(description["config"], description["tokens"])
    except SecateurError as error:
        raise SecateurError(f"{folder / 'model.json'}: {error}") from error
    state = load_tensors(folder / "model.safetensors")
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise SecateurError(f"{folder}: model.safetensors does not fit model.json: {error}") from error
    broken = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise SecateurError(f"{folder / 'model.safetensors'}: {broken[0]} holds NaN or infinity; train the model again")
    return Loaded(model.to(device).eval(), description["config"], description["tokens"])


def save_tensors(
    path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors by name, and texts about them, as safetensors, in one step and with a checksum of it all."""
    ready = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    texts = dict(metadata or {})
    # One entry: safetensors writes several in an order of its own, another one every time.
    header = json.dumps({CHECKSUM: _checksum(ready, texts), "texts": texts}, sort_keys=True)
    with written_aside(path) as aside:
        try:
            save_file(ready, aside, metadata={HEADER: header})
        except SafetensorError as error:
            if number := re.search(r"os error (\d+)", str(error)):  # a full disk, say
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
            raise


def load_tensors(path: str | Path, foreign: bool = False) -> dict[str, torch.Tensor]:
    """Read the tensors that `save_tensors` wrote, or, if `foreign`, those of a file of others, which has no checksum.

    Raises SecateurError as `read_tensors` does.
    """
    return _read_safetensors(path)[0] if foreign else read_tensors(path)[0]


def read_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read the tensors and texts that `save_tensors` wrote.

    Raises SecateurError naming the file when it is missing, truncated or damaged, and when it has no checksum.
    """
    tensors, header = _read_safetensors(path)
    if CHECKSUM not in header:
        raise SecateurError(f"{path}: has no checksum, so this version did not write it; make it again")
    if header[CHECKSUM] != _checksum(tensors, header.get("texts")):
        raise SecateurError(f"{path}: the checksum does not fit; the file is damaged: delete it and run again")
    return tensors, header["texts"]


def _read_safetensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors of any safetensors file, and our header, empty in files of others."""
    try:
        with safe_open(path, "pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118, it is no mapping
            header = json.loads((stream.metadata() or {}).get(HEADER, "{}"))
    except FileNotFoundError as error:
        raise SecateurError(f"{path}: no such file; the job that makes it has not run") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise pointer(path) or SecateurError(
            f"{path}: not a whole safetensors file ({error}); delete it and run again"
        ) from error
    return tensors, header


def _checksum(tensors: Mapping[str, torch.Tensor], texts: Any) -> str:
    """SHA-256 of tensors, with names, types and shapes, and of texts."""
    outline = [[name, str(value.dtype), list(value.shape)] for name, value in sorted(tensors.items())]
    digest = hashlib.sha256(json.dumps([outline, texts], sort_keys=True).encode())
    for _, value in sorted(tensors.items()):
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
