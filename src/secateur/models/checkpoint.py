"""Checkpoints as files: what is in them, without the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.models.sparse import FILE as SPARSE_FILE
from secateur.models.sparse import read_sparse
from secateur.models.tensors import bytes_of, load_tensors, save_tensors

WEIGHTS = "model.safetensors"
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: the configuration and token list that rebuild its model, and its tensors."""

    config: dict[str, Any]
    tokens: list[str]
    tensors: dict[str, torch.Tensor]


def save_model(folder: str | Path, model: torch.nn.Module, config: Mapping[str, Any], tokens: Sequence[str]) -> None:
    """Write `model.safetensors` and `model.json` into `folder`."""
    folder = Path(folder)
    save_tensors(folder / WEIGHTS, model.state_dict())
    write_description(folder, config, tokens)


def write_description(folder: str | Path, config: Mapping[str, Any], tokens: Sequence[str]) -> None:
    """Write `model.json` into `folder`: what rebuilds a model around its tensors."""
    write_json(Path(folder) / "model.json", {"format": FORMAT, "config": dict(config), "tokens": list(tokens)})


def stored_bytes(model: torch.nn.Module) -> int:
    """The bytes of the `model.safetensors` that `save_model` writes of a model, measured on a file."""
    return bytes_of(lambda file: save_tensors(file, model.state_dict()))


def weights_file(folder: Path) -> Path:
    """The file with the weights of a checkpoint: a sparse one if that is all there is."""
    file, sparse = folder / WEIGHTS, folder / SPARSE_FILE
    return sparse if sparse.exists() and not file.exists() else file


def read_checkpoint(folder: str | Path, language: str | None = None) -> Checkpoint:
    """Read a checkpoint, sparse ones too. Raises SecateurError when files are missing, truncated or of another format.

    Args:
        language: whose weights to read from a sparse file with a mask for each language; else it does not matter.
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
    file = weights_file(folder)
    tensors = load_tensors(file) if file.name != SPARSE_FILE else read_sparse(file, language)
    broken = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise SecateurError(f"{file}: {broken[0]} holds NaN or infinity; train the model again")
    return Checkpoint(description["config"], description["tokens"], tensors)
