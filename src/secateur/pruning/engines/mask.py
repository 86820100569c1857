"""Masks: which weights of a model stay.

A mask holds one bit for every *prunable* weight, in a fixed order: by matrix as the model names them, and by flattened
index within a matrix. Every count is exact, to one weight.
"""

import functools
import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import nn

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.models.tensors import read_tensors, save_tensors

FORMAT = 1
ONE_FOR_ALL = "all"

PARTS = ("encoder", "predictor", "decoder")
ENDS = re.compile(r"\.(embed|output_layer)\.")

Weights = nn.Module | Mapping[str, torch.Tensor]


def prunable(model: nn.Module, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[str]:
    """Names of the prunable weights of `model`, in the order of `model.named_parameters()`.

    By default these are the weight matrices of encoder, predictor (RNN-T) and attention decoder (hybrid): of linear
    layers, attention, feed-forward and recurrent layers, and of the pointwise convolutions of a Conformer, which are
    matrices by another name. Never biases, norms, embeddings and depthwise convolutions; nor what stands at either end:
    the convolutional front end or the linear input layer in its place (`encoder.embed`), the output layer
    (`decoder.output_layer`, the CTC head), and the joiner of an RNN-T.

    Args:
        include: regular expressions, searched in the names; weights of two or more dimensions that match one of them
            are prunable too.
        exclude: regular expressions; weights that match one of them are not prunable, whatever else is said.

    Raises SecateurError for an expression that is invalid or matches nothing, and if no weight is prunable.
    """
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.ndim > 1}
    included = _matches(parameters, include, "include")
    excluded = _matches(parameters, exclude, "exclude")
    names = [name for name in parameters if (_by_default(model, name) or name in included) and name not in excluded]
    if not names:
        raise SecateurError(
            f"{type(model).__name__}: no weight is prunable with prunable.include {list(include)} and prunable.exclude "
            f"{list(exclude)}; wanted at least one matrix: change the expressions"
        )
    return names


def _by_default(model: nn.Module, name: str) -> bool:
    """Whether a parameter of two or more dimensions is prunable if nothing else is said."""
    if name.partition(".")[0] not in PARTS or ENDS.search(name):
        return False
    module = model.get_submodule(name.rpartition(".")[0])
    pointwise = isinstance(module, nn.Conv1d) and module.kernel_size == (1,) and module.groups == 1
    matrix = isinstance(module, nn.Linear | nn.RNNBase | nn.MultiheadAttention) and model.get_parameter(name).ndim == 2
    return pointwise or matrix


def _matches(names: Iterable[str], expressions: Sequence[str], key: str) -> set[str]:
    matches = set()
    for expression in expressions:
        try:
            found = {name for name in names if re.search(expression, name)}
        except re.error as error:
            raise SecateurError(f"prunable.{key}: {expression!r} is not a regular expression ({error})") from error
        if not found:
            raise SecateurError(
                f"prunable.{key}: {expression!r} matches no weight of two or more dimensions of the model; it has, for "
                f"example, {', '.join(list(names)[:3])}"
            )
        matches |= found
    return matches


def mask_file(model: Path, name: str = ONE_FOR_ALL) -> Path:
    """Where a mask lies beside its model: that of a language, or the one for all."""
    return Path(model) / "masks" / f"{name}.safetensors"


def save_masks(model: Path, masks: Mapping[str, "Mask"]) -> None:
    """Write the masks of a model, by language or under `ONE_FOR_ALL`, beside it and list them in its `model.json`."""
    for name, mask in masks.items():
        mask.save(mask_file(model, name))
    listed = {name: str(mask_file(model, name).relative_to(model)) for name in masks}
    write_json(Path(model) / "model.json", read_json(Path(model) / "model.json") | {"masks": listed})


def masks_of(model: Path) -> dict[str, Path]:
    """The files of the masks that a model's `model.json` lists, by language or under `ONE_FOR_ALL`; none if dense.

    Raises SecateurError if it lists none though there are some.
    """
    file = Path(model) / "model.json"
    listed = read_json(file).get("masks", {})
    if not listed and mask_file(model).parent.exists():
        raise SecateurError(f"{file}: lists no masks, but some lie beside it; delete them or make the model again")
    return {name: Path(model) / path for name, path in listed.items()}


def mask_for(model: Path, language: str | None) -> Path | None:
    """The mask that a model is to run under for a language; None if it has no masks.

    Raises SecateurError if it has one for each language, and none for this one, or no language is named.
    """
    files = masks_of(model)
    if not files or ONE_FOR_ALL in files:
        return files.get(ONE_FOR_ALL)
    if language not in files:
        found = repr(language) if language else "none"
        raise SecateurError(
            f"{model}: the model has one mask per language; --languages: {found}, wanted one of {', '.join(files)}"
        )
    return files[language]


def weights(model: Weights, names: Iterable[str] | None = None) -> dict[str, torch.Tensor]:
    """The tensors `names` of a model (default: its prunable ones), or of a mapping of tensors (default: all)."""
    tensors = dict(model.named_parameters()) if isinstance(model, nn.Module) else model
    if names is None:
        names = prunable(model) if isinstance(model, nn.Module) else list(tensors)
    try:
        return {name: tensors[name].detach() for name in names}
    except KeyError as error:
        raise SecateurError(
            f"{error.args[0]}: the model has no such weight; the mask was made for another model"
        ) from None


def kept(total: int, sparsity: float) -> int:
    """How many of `total` weights stay at `sparsity`: (1−s)·total, rounded to the nearest integer, halves up.

    The sparsity is taken as the decimal number it is written as (0.7 is seven tenths, not the nearest binary
    fraction), so that the count never depends on floating-point error. A higher sparsity never keeps more.
    """
    if not 0 <= sparsity <= 1:
        raise SecateurError(f"sparsity {sparsity}: wanted the share of weights to remove, between 0 and 1")
    return math.floor((1 - Fraction(str(float(sparsity)))) * total + Fraction(1, 2))


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor, in order."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def check_shapes(shapes: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Raise SecateurError naming the first weight in which the `shapes` of a mask differ from those of `what`."""
    for name, other in itertools.zip_longest(shapes, wanted):
        if name != other:
            raise SecateurError(
                f"mask: {name or 'no more weights'} where {what} has {other or 'no more weights'}; they belong to "
                "different models or prunable sets: make the mask again"
            )
        if shapes[name] != wanted[name]:
            raise SecateurError(
                f"mask of {name}: shape {shapes[name]} where {what} has {wanted[name]}; they are of different models: "
                "make the mask again"
            )


@dataclass(frozen=True, eq=False)
class Mask(Mapping[str, torch.Tensor]):
    """One bit per prunable weight, true where the weight stays: a mapping from names to boolean tensors.

    Make one with `Mask.of`, `Mask.ones`, `Mask.random`, `Mask.load` or `engines.ranking`. Masks do not change:
    the tensors that a mask gives out are views of its bits, for reading only.

    Attributes:
        shapes: shape of every prunable weight, in order.
        flat: all bits, (total,) bool.
    """

    shapes: Mapping[str, tuple[int, ...]]
    flat: torch.Tensor

    def __post_init__(self):
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        if self.flat.dtype != torch.bool or self.flat.shape != (sum(sizes),):
            raise ValueError(f"a mask of {sum(sizes)} bits from {self.flat.dtype} {tuple(self.flat.shape)}")
        views = {
            name: bits.view(shape)
            for (name, shape), bits in zip(self.shapes.items(), self.flat.split(sizes), strict=True)
        }
        object.__setattr__(self, "_views", views)

    @classmethod
    def of(
        cls, bits: Mapping[str, torch.Tensor], model: Weights | None = None, sparsity: float | None = None
    ) -> "Mask":
        """A mask from boolean tensors, which are copied.

        With `model`, the names must be those of its prunable weights (of a mapping: all its names), in the same order
        and of the same shapes. With `sparsity`, exactly `kept(total, sparsity)` bits must be true. Raises SecateurError
        naming the first weight that disobeys.
        """
        for name, tensor in bits.items():
            if tensor.dtype != torch.bool:
                raise SecateurError(f"mask of {name}: type {tensor.dtype}, wanted torch.bool; compare or convert first")
        shapes = shapes_of(bits)
        if model is not None:
            check_shapes(shapes, shapes_of(weights(model)), "the model")
        mask = cls(shapes, torch.cat([tensor.reshape(-1) for tensor in bits.values()]))
        if sparsity is not None and mask.kept != kept(mask.total, sparsity):
            raise SecateurError(
                f"mask: {mask.kept} of {mask.total} weights stay, wanted {kept(mask.total, sparsity)} for sparsity "
                f"{sparsity}; make the mask again"
            )
        return mask

    @classmethod
    def ones(cls, model: Weights) -> "Mask":
        """The mask of the dense model."""
        tensors = weights(model)
        shapes = shapes_of(tensors)
        device = next(iter(tensors.values())).device
        return cls(shapes, torch.ones(sum(map(math.prod, shapes.values())), dtype=torch.bool, device=device))

    @classmethod
    def random(cls, model: Weights, sparsity: float, seed: int) -> "Mask":
        """A control: weights drawn at random, each set of `kept(total, sparsity)` weights being equally likely.

        It depends on the sizes, the sparsity and the seed alone, and masks of one seed are nested over sparsities.
        """
        dense = cls.ones(model)
        order = torch.randperm(dense.total, generator=torch.Generator().manual_seed(seed))
        flat = torch.zeros(dense.total, dtype=torch.bool)
        flat[order[: kept(dense.total, sparsity)]] = True
        return cls(dense.shapes, flat.to(dense.flat.device))

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def __repr__(self) -> str:
        return f"Mask({self.kept} of {self.total} weights in {len(self)} matrices)"

    @property
    def total(self) -> int:
        """Number of prunable weights."""
        return self.flat.numel()

    @property
    def kept(self) -> int:
        """Number of weights that stay."""
        return int(self.flat.count_nonzero())

    @property
    def sparsity(self) -> float:
        """Share of the prunable weights that are removed."""
        return 1 - self.kept / self.total

    def sparsity_by_matrix(self) -> dict[str, float]:
        """Share of every matrix that is removed."""
        return {name: 1 - int(bits.count_nonzero()) / bits.numel() for name, bits in self.items()}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return list(self.shapes.items()) == list(other.shapes.items()) and torch.equal(self.flat, other.flat)

    def __or__(self, other: "Mask") -> "Mask":
        return self._combine(other, torch.logical_or)

    def __and__(self, other: "Mask") -> "Mask":
        return self._combine(other, torch.logical_and)

    def __invert__(self) -> "Mask":
        return Mask(self.shapes, ~self.flat)

    def __le__(self, other: "Mask") -> bool:
        """Whether this mask is nested in the other: it keeps no weight that the other removes."""
        return (self & ~other).kept == 0

    def __ge__(self, other: "Mask") -> bool:
        return other <= self

    def iou(self, other: "Mask") -> float:
        """Intersection over union, |a ∧ b| / |a ∨ b|: 1 for equal masks (two empty ones too), 0 for disjoint ones."""
        union = (self | other).kept
        return (self & other).kept / union if union else 1.0

    def to(self, device: str | torch.device) -> "Mask":
        """The mask with its bits on `device`."""
        return Mask(self.shapes, self.flat.to(device))

    @torch.no_grad()
    def apply_(self, model: Weights) -> None:
        """Set every weight that the mask removes to 0.0, in place; the others keep their bytes."""
        for name, weight in self._weights(model).items():
            # On bit patterns: a product would leave −0.0 and NaN, and masked_fill_ takes several times as long.
            integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[weight.element_size()]
            weight.view(integer).bitwise_and_(-self[name].to(weight.device).view(torch.int8))

    def check(self, model: Weights) -> None:
        """Raise SecateurError naming the first weight of `model` that is not zero though the mask removes it."""
        for name, weight in self._weights(model).items():
            stray = (weight != 0) & ~self[name].to(weight.device)
            if stray.any():
                place = tuple(stray.nonzero()[0].tolist())
                raise SecateurError(
                    f"{name}{list(place)}: the weight is {weight[place].item():g} where the mask removes it, wanted 0; "
                    "the model was not made with this mask: make both again"
                )

    def save(self, path: str | Path) -> None:
        """Write the mask, eight weights to a byte, in one safetensors file."""
        packed = np.packbits(self.flat.cpu().numpy())
        header = {
            "format": FORMAT,
            "names": list(self.shapes),
            "shapes": [list(shape) for shape in self.shapes.values()],
            "kept": self.kept,
        }
        save_tensors(path, {"bits": torch.from_numpy(packed)}, {"mask": json.dumps(header)})

    @classmethod
    def load(cls, path: str | Path, model: Weights | None = None) -> "Mask":
        """Read a mask; with `model`, it must fit the prunable weights, as in `Mask.of`.

        Raises SecateurError naming the file when it is missing, truncated, corrupted or of another format.
        """
        tensors, texts = read_tensors(path)
        try:
            header = json.loads(texts["mask"])
            if header["format"] != FORMAT:
                raise SecateurError(
                    f"{path}: mask format {header['format']!r}, this version reads {FORMAT}; make it again"
                )
            packed = tensors["bits"].numpy()
            shapes = {name: tuple(shape) for name, shape in zip(header["names"], header["shapes"], strict=True)}
            total = sum(map(math.prod, shapes.values()))
            if len(packed) != -(-total // 8):
                raise ValueError(f"{len(packed)} bytes for {total} weights")
        except (KeyError, TypeError, ValueError) as error:
            raise SecateurError(
                f"{path}: not a mask ({error!r}); wanted a file that Mask.save wrote: delete it and run again"
            ) from error
        mask = cls(shapes, torch.from_numpy(np.unpackbits(packed, count=total)).bool())
        if mask.kept != header.get("kept"):
            raise SecateurError(f"{path}: {header.get('kept')} weights stay, found {mask.kept}; make the mask again")
        if model is not None:
            check_shapes(shapes, shapes_of(weights(model)), f"the model for {path}")
        return mask

    def _combine(self, other: "Mask", operation: Callable[..., torch.Tensor]) -> "Mask":
        check_shapes(self.shapes, other.shapes, "the other mask")
        return Mask(self.shapes, operation(self.flat, other.flat))

    def _weights(self, model: Weights) -> dict[str, torch.Tensor]:
        tensors = weights(model, self.shapes)
        check_shapes(self.shapes, shapes_of(tensors), "the model")
        return tensors


def union(masks: Iterable[Mask]) -> Mask:
    """The union of masks, of which there is at least one."""
    return functools.reduce(lambda one, other: one | other, masks)
