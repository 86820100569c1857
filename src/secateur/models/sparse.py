"""Sparse files: what masks keep of a model, and the masks, in one safetensors file. Nothing is rounded.

    mask.NAME    the bits of a mask, eight weights to a byte (uint8): matrix by matrix, true where a weight stays
    values       the weights that at least one mask keeps, in the same order
    dense.NAME   every other tensor of the model, as it is

A model with a mask for each language stores its weights once. The masks are named by language.
"""

import json
import math
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch

from secateur.core.errors import SecateurError
from secateur.models.tensors import read_tensors, save_tensors

FILE = "sparse.safetensors"
"""Name of a sparse file in a model's folder, where `model.safetensors` lies else."""
FORMAT = 1
HEADER, MASK, DENSE, VALUES = "sparse", "mask.", "dense.", "values"


def write_sparse(
    path: str | Path, tensors: Mapping[str, torch.Tensor], masks: Mapping[str, Mapping[str, torch.Tensor]]
) -> None:
    """Write the tensors of a model under its masks. Weights that every mask removes are not in the file.

    Args:
        tensors: all of the model, by name, as its `state_dict` has them.
        masks: at least one, by name: for every prunable matrix its bits, of its shape, true where a weight stays.

    Raises SecateurError if masks are not about the same matrices, do not fit the tensors, or these differ in type.
    """
    shapes = {name: tuple(bits.shape) for name, bits in next(iter(masks.values())).items()}
    for found in masks.values():
        if {name: tuple(bits.shape) for name, bits in found.items()} != shapes:
            raise SecateurError(f"{path}: the masks are not of the same matrices; make them again")
    if wrong := [name for name in shapes if name not in tensors or tuple(tensors[name].shape) != shapes[name]]:
        raise SecateurError(f"{path}: the mask of {wrong[0]} does not fit the model; it was made for another one")
    if len({tensors[name].dtype for name in shapes}) > 1:
        raise SecateurError(f"{path}: the pruned matrices are of several types; convert them to one")
    bits = {name: torch.cat([found[key].reshape(-1).cpu() for key in shapes]) for name, found in masks.items()}
    anywhere = reduce(torch.logical_or, bits.values())
    whole = torch.cat([tensors[name].detach().reshape(-1).cpu() for name in shapes])
    stored = {MASK + name: torch.from_numpy(np.packbits(found.numpy())) for name, found in bits.items()}
    stored[VALUES] = whole[anywhere]
    stored |= {DENSE + name: tensor for name, tensor in tensors.items() if name not in shapes}
    header = {"format": FORMAT, "shapes": {name: list(shape) for name, shape in shapes.items()}}
    save_tensors(path, stored, {HEADER: json.dumps(header)})


def mask_names(path: str | Path) -> list[str]:
    """The names of the masks in a sparse file: languages, or one name for all. Raises as `read_sparse` does."""
    return list(_read(path)[0])


def read_sparse(path: str | Path, name: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a model under one of its masks; weights that it removes are 0.

    Args:
        name: of the mask; it need not be given where there is one mask.

    Raises SecateurError naming the file when it is missing, damaged or of another format, and when it has several
    masks and none of this name.
    """
    masks, tensors, shapes = _read(path)
    chosen = next(iter(masks)) if len(masks) == 1 else name
    if chosen not in masks:
        found = repr(name) if name else "none"
        raise SecateurError(
            f"{path}: has a mask for each language; language: {found}, wanted one of {', '.join(masks)}"
        )
    anywhere = reduce(torch.logical_or, masks.values())
    values = tensors[VALUES]
    whole = torch.zeros(len(anywhere), dtype=values.dtype)
    whole[masks[chosen]] = values[masks[chosen][anywhere]]
    parts = whole.split([math.prod(shape) for shape in shapes.values()])
    found = {key: part.reshape(shape).clone() for (key, shape), part in zip(shapes.items(), parts, strict=True)}
    return found | {key.removeprefix(DENSE): value for key, value in tensors.items() if key.startswith(DENSE)}


def _read(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict[str, tuple[int, ...]]]:
    """The masks (total,) by name, all tensors as they are stored, and the shapes of the pruned matrices."""
    tensors, texts = read_tensors(path)
    try:
        header: dict[str, Any] = json.loads(texts[HEADER])
        if header["format"] != FORMAT:
            raise SecateurError(f"{path}: sparse format {header['format']!r}, this version reads {FORMAT}")
        shapes = {name: tuple(shape) for name, shape in header["shapes"].items()}
        total = sum(map(math.prod, shapes.values()))
        packed = {key.removeprefix(MASK): value for key, value in tensors.items() if key.startswith(MASK)}
        masks = {
            key: torch.from_numpy(np.unpackbits(value.numpy(), count=total)).bool() for key, value in packed.items()
        }
        kept = int(reduce(torch.logical_or, masks.values()).count_nonzero())
        if any(len(value) != -(-total // 8) for value in packed.values()) or kept != len(tensors[VALUES]):
            raise ValueError(f"{kept} weights stay, {len(tensors[VALUES])} are stored")
    except (KeyError, TypeError, ValueError) as error:
        raise SecateurError(f"{path}: not a sparse file ({error!r}); export the model again") from error
    return masks, tensors, shapes
