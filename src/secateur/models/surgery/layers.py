"""Sub-models: a trained model without some of its encoder's layers, or of its attention decoder's.

Layers are named by their number in the whole model, from 1, in every sub-model and in every file: layer 5 stays layer 5
when layer 2 is gone. A hybrid model's decoder has numbers of its own. Whisper's layers are numbered through, those of
the encoder first. What follows the last kept layer is what followed the last layer of the whole model: for a CTC model
the final norm and the CTC head, which intermediate CTC has trained on inner layers too (Lee & Watanabe 2021).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from secateur.core.errors import SecateurError
from secateur.core.files import read_json
from secateur.models.types import DECODER, ENCODER


def body(model: torch.nn.Module) -> torch.nn.Module:
    """What has the layers: the model itself, or of a language model its Transformer."""
    return getattr(model, "lm", model)


def has_decoder(model: torch.nn.Module) -> bool:
    """Whether a model has an attention decoder whose layers have numbers of their own."""
    return getattr(getattr(model, "decoder", None), "decoders", None) is not None


def stacks(model: torch.nn.Module, of: str = ENCODER) -> list[torch.nn.ModuleList]:
    """The stacks of layers that are numbered through: that of the encoder, and in Whisper that of the decoder.

    Args:
        of: `decoder` for the layers of a hybrid model's decoder.

    Raises SecateurError when the model has none.
    """
    model = body(model)
    if of == DECODER:
        if not has_decoder(model):
            raise SecateurError(
                f"{type(model).__name__}: has no attention decoder whose layers have numbers of their own; choose a "
                "hybrid model (Whisper's layers are numbered through, and need no part)"
            )
        return [model.decoder.decoders]
    found = getattr(model, "layer_stacks", None) or [getattr(getattr(model, "encoder", None), "encoders", None)]
    if found[0] is None:
        raise SecateurError(
            f"{type(model).__name__}: the model has no stack of encoder layers; choose a CTC, hybrid, RNN-T or Whisper "
            "model, or a Transformer language model"
        )
    return list(found)


def numbered_layers(model: torch.nn.Module, of: str = ENCODER) -> dict[int, torch.nn.Module]:
    """Every layer that `model` has by its number in the whole model. Arguments and errors as of `stacks`."""
    layers = [layer for stack in stacks(model, of) for layer in stack]
    numbers = getattr(getattr(body(model), of), "layer_numbers", range(1, len(layers) + 1))
    return dict(zip(numbers, layers, strict=True))


def layer_numbers(model: torch.nn.Module, of: str = ENCODER) -> list[int]:
    """The number in the whole model of each layer of `model`, in their order. Arguments and errors as of `stacks`."""
    return list(numbered_layers(model, of))


def keep_layers(model: torch.nn.Module, layers: Iterable[int], of: str = ENCODER) -> torch.nn.Module:
    """Remove all other layers of the encoder, or of the decoder, from `model`, in place, and return it.

    The sub-model computes exactly what the whole model does when the other layers hand on their input. A kept layer
    keeps its rate of stochastic depth. Intermediate CTC stays at the kept layers that it was at, and what it says is
    heard above as before (self-conditioned CTC); at the one that is now the last, it is the loss itself.

    Args:
        layers: numbers of the layers to keep, in any order.
        of: whose layers they are.

    Raises SecateurError when there is none, and for a layer that is named twice or that the model does not have.
    """
    present, kept = layer_numbers(model, of), sorted(layers)
    if not kept:
        raise SecateurError(f"no {of} layer would be left; keep at least one of {listed(present)}")
    for number in kept:
        if number not in present:
            raise SecateurError(f"the model has no {of} layer {number}; choose from {listed(present)}")
        if kept.count(number) > 1:
            raise SecateurError(f"{of} layer {number} is named {kept.count(number)} times; name each layer once")
    part = getattr(body(model), of)
    gone = {id(layer) for number, layer in numbered_layers(model, of).items() if number not in kept}
    for stack in stacks(model, of):
        for position in reversed(range(len(stack))):
            if id(stack[position]) in gone:
                del stack[position]
    part.layer_numbers = kept
    if hasattr(model, "layers_changed"):
        model.layers_changed()
    if hasattr(part, "interctc_layer_idx"):  # ESPnet counts the positions, from 1; the last is not for it
        numbers = [present[position - 1] for position in part.interctc_layer_idx]
        part.interctc_layer_idx = [kept.index(number) + 1 for number in numbers if number in kept[:-1]]
    return model


@contextmanager
def only(model: torch.nn.Module, layers: Iterable[int], of: str = ENCODER) -> Iterator[None]:
    """Within the block `model` has these of its layers alone; unlike `keep_layers`, it gets the others back."""
    chosen, found = set(layers), numbered_layers(model, of)
    before = [(stack, list(stack)) for stack in stacks(model, of)]
    numbers = {id(layer): number for number, layer in found.items()}
    try:
        for stack, whole in before:
            _fill(model, stack, [layer for layer in whole if numbers[id(layer)] in chosen])
        yield
    finally:
        for stack, whole in before:
            _fill(model, stack, whole)


def _fill(model: torch.nn.Module, stack: torch.nn.ModuleList, layers: list[torch.nn.Module]) -> None:
    while len(stack):
        del stack[-1]
    stack.extend(layers)
    if hasattr(model, "layers_changed"):
        model.layers_changed()


@dataclass(frozen=True)
class Kept:
    """Which layers a sub-model keeps of which part of a model."""

    layers: tuple[int, ...]
    of: str = ENCODER

    @property
    def name(self) -> str:
        """What tables call the sub-model: `1,2,5`, or `decoder 1,3`."""
        return f"{'' if self.of == ENCODER else f'{self.of} '}{listed(self.layers, ',')}"

    @classmethod
    def named(cls, name: str) -> "Kept":
        """The inverse of `name`."""
        of, _, layers = name.rpartition(" ")
        return cls(tuple(map(int, layers.split(","))), of or ENCODER)

    def apply_(self, model: torch.nn.Module) -> torch.nn.Module:
        """Remove all other layers of that part of a model, in place, and return it. Raises as `keep_layers`."""
        return keep_layers(model, self.layers, self.of)


def read_depth(file: str | Path, depth: int) -> Kept:
    """What a sub-model of `depth` layers keeps, as a search found it (`secateur.layers.search`).

    Raises SecateurError when the file is missing or has no such depth.
    """
    found = read_depths(file)
    if depth not in found:
        raise SecateurError(f"{file}: no depth {depth}; choose from {listed(found)}")
    return found[depth]


def read_depths(file: str | Path) -> dict[int, Kept]:
    """What is kept by depth, as a search found it. Raises SecateurError when the file is missing."""
    found = read_json(file)
    of = found.get("of", ENCODER)
    return {int(depth): Kept(tuple(one["layers"]), of) for depth, one in found.get("depths", {}).items()}


def listed(layers: Iterable[int], separator: str = ", ") -> str:
    """The numbers of layers in a line; with `,` as tables name a sub-model."""
    return separator.join(map(str, sorted(layers)))
