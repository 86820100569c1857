"""Files of weights that others wrote: read without running anything in them, checked, named as models do."""

import logging
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from secateur.core.errors import SecateurError
from secateur.core.foreign import pointer
from secateur.models.build import build_model
from secateur.models.formats import Description
from secateur.models.load import Loaded, has_library_form
from secateur.models.tensors import load_tensors

PREFIXES = ("module.", "_orig_mod.")
"""What data parallelism and `torch.compile` put before every name."""
SHOWN_NAMES = 3


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, or of one of `torch.save`, by name, without `PREFIXES`.

    Raises SecateurError for a file that is missing or damaged, for a pointer of Git LFS, for pickled objects other than
    tensors, and for values that are not finite.
    """
    if not file.is_file():
        raise SecateurError(f"{file}: no such file; the folder needs it")
    if problem := pointer(file):
        raise problem
    tensors = load_tensors(file, foreign=True) if file.suffix == ".safetensors" else _torch_file(file)
    tensors = without_prefixes(tensors, file)
    for name, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise SecateurError(f"{file}: {name} holds NaN or infinity; take a checkpoint from before that happened")
    return tensors


def _torch_file(file: Path) -> dict[str, torch.Tensor]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SecateurError(
            f"{file}: holds pickled objects, not tensors alone, and those are never run here; where you trust it, "
            "write its weights anew: `torch.save(model.state_dict(), file)`"
        ) from error
    except (RuntimeError, EOFError, zipfile.BadZipFile, OSError, ValueError) as error:
        raise SecateurError(f"{file}: not a whole file of torch.save ({error}); fetch it again") from error
    if not isinstance(found, Mapping) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise SecateurError(
            f"{file}: not tensors by name, but a {type(found).__name__} with other things in it; name a file of "
            "weights, such as ESPnet's valid.*.ave*.pth, not the state of a training"
        )
    return dict(found)


def without_prefixes(tensors: Mapping[str, torch.Tensor], file: Path) -> dict[str, torch.Tensor]:
    """The tensors without `PREFIXES` that all names have; that is said once."""
    names = {name: name for name in tensors}
    while prefix := next((p for p in PREFIXES if names and all(n.startswith(p) for n in names.values())), ""):
        logging.warning("%s: all names begin with %r, which is left out", file, prefix)
        names = {name: short.removeprefix(prefix) for name, short in names.items()}
    return {names[name]: value for name, value in tensors.items()}


def fill(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor], file: Path, unused: Iterable[str] = ()) -> None:
    """Give `model` its tensors, strictly.

    Args:
        unused: beginnings of names that a file may have and the model does not need.

    Raises SecateurError naming what is missing, left over, or of another shape.
    """
    ours = model.state_dict()
    left = [name for name in tensors if name not in ours and not name.startswith(tuple(unused))]
    missing = [name for name in ours if name not in tensors]
    shapes = [name for name in ours if name in tensors and ours[name].shape != tensors[name].shape]
    problems = [f"lacks {_listed(missing)}"] * bool(missing) + [f"has {_listed(left)} too many"] * bool(left)
    for name in shapes[:1]:
        found, wanted = tuple(tensors[name].shape), tuple(ours[name].shape)
        problems.append(f"{name} is {found}, expected {wanted}" + f" (and {len(shapes) - 1} more)" * (len(shapes) > 1))
    if problems:
        raise SecateurError(f"{file}: does not fit the configuration beside it: {'; '.join(problems)}")
    model.load_state_dict({name: tensors[name] for name in ours}, strict=True)


def rebuilt(description: Description, tensors: Mapping[str, torch.Tensor], file: Path) -> Loaded:
    """The model that a folder describes, with the tensors of its file, under our names. Raises as `fill`."""
    model = build_model(description.model, description.tokens)
    fill(model, tensors, file)
    return Loaded(model.eval(), dict(description.model), list(description.tokens))


def check_form(loaded: Loaded, folder: Path) -> None:
    """Raise SecateurError for a model that lost heads or other parts of layers, of which its library has no class."""
    if not has_library_form(loaded):
        raise SecateurError(
            f"{folder}: the model lost attention heads, or other parts of layers, and its library has no class for "
            "what is left; its own folder loads with secateur.models.load.load_model"
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN_NAMES]) + (
        f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    )


def whole_file(folder: Path, *names: str) -> Path:
    """The first of these files that is there. Raises SecateurError if none is, also where the weights are sharded."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    for name in names:
        if (folder / f"{name}.index.json").is_file():
            raise SecateurError(
                f"{folder}: its weights are in several files ({name}.index.json); write them as one: "
                "`model.save_pretrained(folder, max_shard_size='100GB')`"
            )
    raise SecateurError(f"{folder}: has no weights; expected {' or '.join(names)}")
