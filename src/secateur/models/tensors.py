"""Tensors by name in safetensors files, with a checksum."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from secateur.core.errors import SecateurError
from secateur.core.files import written_aside
from secateur.core.foreign import pointer

HEADER, CHECKSUM = "secateur", "sha256"


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


def save_foreign(path: str | Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors by name as safetensors for another library, with the header that transformers wants."""
    ready = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with written_aside(path) as aside:
        save_file(ready, aside, metadata={"format": "pt"})


def checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """The checksum of a file that `save_tensors` writes of these tensors, without texts."""
    return _checksum({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, {})


def noted_checksum(path: str | Path) -> str | None:
    """The checksum that a file says it has; None where there is no such file, or it has none."""
    try:
        return _read_header(path).get(CHECKSUM)
    except SecateurError:
        return None


def bytes_of(write: Callable[[Path], None]) -> int:
    """The bytes of the file that `write` makes at the path that it is given. The file is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "measured.safetensors"
        write(file)
        return file.stat().st_size


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
    header = _read_header(path)
    with safe_open(path, "pt") as stream:
        return {name: stream.get_tensor(name) for name in stream.keys()}, header  # noqa: SIM118, it is no mapping


def _read_header(path: str | Path) -> dict[str, Any]:
    try:
        with safe_open(path, "pt") as stream:
            return json.loads((stream.metadata() or {}).get(HEADER, "{}"))
    except FileNotFoundError as error:
        raise SecateurError(f"{path}: no such file; the job that makes it has not run") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise pointer(path) or SecateurError(
            f"{path}: not a whole safetensors file ({error}); delete it and run again"
        ) from error


def _checksum(tensors: Mapping[str, torch.Tensor], texts: Any) -> str:
    """SHA-256 of tensors, with names, types and shapes, and of texts."""
    outline = [[name, str(value.dtype), list(value.shape)] for name, value in sorted(tensors.items())]
    digest = hashlib.sha256(json.dumps([outline, texts], sort_keys=True).encode())
    for _, value in sorted(tensors.items()):
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
