"""Models with masks as sparse files, and back."""

from collections.abc import Mapping
from pathlib import Path

import torch

from secateur.core.errors import SecateurError
from secateur.models.checkpoint import read_checkpoint, write_description
from secateur.models.sparse import FILE, read_sparse, write_sparse
from secateur.models.tensors import bytes_of
from secateur.pruning.engines.mask import ONE_FOR_ALL, Mask, masks_of


def export_sparse(folder: str | Path, output: str | Path, language: str | None = None) -> Path:
    """Write the model in `folder` as a sparse file with its `model.json` into the folder `output`; return the file.

    `secateur.models.load.load_model` reads it and gives the masked model: the same weights, bit for bit.

    Args:
        language: of a model with a mask for each language, the one to export; by default all.

    Raises SecateurError if the model has no masks, or none for this language, and if what was written differs.
    """
    found, masks = read_checkpoint(folder), chosen_masks(folder, language)
    file = Path(output) / FILE
    write_sparse(file, found.tensors, masks)
    for name, mask in masks.items():
        written, expected = read_sparse(file, name), masked(found.tensors, mask)
        if written.keys() != expected.keys() or not all(_same(written[key], expected[key]) for key in expected):
            raise SecateurError(f"{file}: is not the model under its mask {name!r}; export it again")
    write_description(output, found.config, found.tokens)
    return file


def chosen_masks(folder: str | Path, language: str | None = None) -> dict[str, Mask]:
    """The masks of a model by language, or the one for all under `ONE_FOR_ALL`; with `language`, that one alone.

    Raises SecateurError if there is none.
    """
    files = masks_of(Path(folder))
    if not files:
        raise SecateurError(f"{folder}: has no masks, so a sparse file saves nothing; take the checkpoint as it is")
    if language and ONE_FOR_ALL not in files:
        if language not in files:
            raise SecateurError(f"{folder}: no mask for {language!r}; wanted one of {', '.join(files)}")
        files = {language: files[language]}
    return {name: Mask.load(file) for name, file in files.items()}


def masked(tensors: Mapping[str, torch.Tensor], mask: Mask) -> dict[str, torch.Tensor]:
    """A copy of a model's tensors in which the weights that a mask removes are 0."""
    found = dict(tensors) | {name: tensors[name].clone() for name in mask}
    mask.apply_({name: found[name] for name in mask})
    return found


def sparse_bytes(tensors: Mapping[str, torch.Tensor], masks: Mapping[str, Mask]) -> int:
    """The bytes of the sparse file of a model, measured on a file."""
    return bytes_of(lambda file: write_sparse(file, tensors, masks))


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are equal in type, shape and every byte."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return torch.equal(*(tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other)))
