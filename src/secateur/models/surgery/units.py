"""Units of the feed-forward networks in a model's layers: gates, and exact removal.

A unit is named by the network it is in and its own number, from 1; a network by its block and the layer's number. The
numbers are those of the whole model in every smaller one and in every file, as for layers and heads.

    feed-forward     of the numbered layers: those of the encoder, and in Whisper those of the decoder, too
    macaron          the one before the attention, in Conformer and E-Branchformer
    decoder          of ESPnet's attention decoder

A removed unit is gone with its bias: what a gate of zero behind the activation gives. The last unit of a network stays.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch

from secateur.core.errors import SecateurError
from secateur.models import types
from secateur.models.surgery import compaction
from secateur.models.surgery.layers import has_decoder, numbered_layers

FEED_FORWARD, MACARON, DECODER = "feed-forward", "macaron", "decoder"
_LINEARS = {
    FEED_FORWARD: (
        ("fc1", "fc2"),
        ("feed_forward.intermediate_dense", "feed_forward.output_dense"),
        ("feed_forward.w_1", "feed_forward.w_2"),
    ),
    MACARON: (("feed_forward_macaron.w_1", "feed_forward_macaron.w_2"),),
}
"""The two linear layers of a network, in Whisper, in upstream encoders, and in ESPnet's layers."""

Network = tuple[str, int]


class Unit(NamedTuple):
    """The name of a unit."""

    block: str
    layer: int
    unit: int

    @property
    def group(self) -> Network:
        """What the unit is a part of."""
        return self.block, self.layer

    def __str__(self) -> str:
        return f"unit {self.block} {self.layer}.{self.unit}"


def networks(model: torch.nn.Module) -> dict[Network, tuple[torch.nn.Linear, torch.nn.Linear]]:
    """The linear layers of every feed-forward network that has units, by block and layer."""
    found = {}
    layers = [(block, number, layer) for number, layer in numbered_layers(model).items() for block in _LINEARS]
    if has_decoder(model):
        layers += [(DECODER, number, layer) for number, layer in numbered_layers(model, types.DECODER).items()]
    for block, number, layer in layers:
        for names in _LINEARS[FEED_FORWARD if block == DECODER else block]:
            up, down = (_inner(layer, name) for name in names)
            if isinstance(up, torch.nn.Linear) and isinstance(down, torch.nn.Linear) and up.out_features:
                found[block, number] = up, down
    return found


def units(model: torch.nn.Module) -> list[Unit]:
    """The units of a model, in order. Raises SecateurError if its layers have no feed-forward networks."""
    found = [Unit(*network, number) for network, (up, _) in networks(model).items() for number in _numbers(up)]
    if not found:
        raise SecateurError(f"{type(model).__name__}: its layers have no feed-forward networks whose units could go")
    return found


def magnitudes(model: torch.nn.Module) -> dict[Network, list[float]]:
    """The mean of |w| of each unit's own weights, in and out, in the order of `units`."""
    found = {}
    for network, (up, down) in networks(model).items():
        weights = torch.cat([up.weight.detach(), down.weight.detach().T], 1)
        found[network] = weights.double().abs().mean(1).tolist()
    return found


def kept_units(model: torch.nn.Module) -> dict[str, dict[str, list[int]]]:
    """The units of the networks that lost some, for a configuration (`kept_units`): block → layer → numbers."""
    kept: dict[str, dict[str, list[int]]] = {}
    for (block, layer), (up, _) in networks(model).items():
        if hasattr(up, "unit_numbers"):
            kept.setdefault(block, {})[str(layer)] = _numbers(up)
    return kept


def remove_units(model: torch.nn.Module, removed: Iterable[Unit]) -> torch.nn.Module:
    """Remove units from a model, in place, and return it.

    Raises SecateurError for a unit that it does not have, and where none of a network would be left, before anything is
    removed.
    """
    removed, present = set(removed), units(model)
    if unknown := sorted(removed - set(present)):
        raise SecateurError(f"the model has no {unknown[0]}; it may be gone already")
    kept: dict[str, dict[str, list[int]]] = {}
    for block, layer in dict.fromkeys(unit.group for unit in present if unit in removed):
        left = [unit.unit for unit in present if unit.group == (block, layer) and unit not in removed]
        kept.setdefault(block, {})[str(layer)] = left
    return keep_units(model, kept)


def keep_units(model: torch.nn.Module, kept: Mapping[str, Mapping[str, list[int]]]) -> torch.nn.Module:
    """Remove all other units of the networks that are named, in place; the inverse of `kept_units`.

    Raises SecateurError for what the model does not have, and where none would be left, before anything is removed.
    """
    present = networks(model)
    places: dict[Network, list[int]] = {}
    for block, layers in kept.items():
        for layer, numbers in layers.items():
            network = block, int(layer)
            if network not in present:
                raise SecateurError(f"the model has no network {block} {layer}; correct kept_units in its model.json")
            if not numbers:
                raise SecateurError(f"no unit of {block} {layer} would be left; keep at least one")
            found = _numbers(present[network][0])
            if missing := set(numbers) - set(found):
                raise SecateurError(f"the model has no {Unit(*network, min(missing))}")
            places[network] = [found.index(number) for number in sorted(numbers)]
    for network, index in places.items():
        up, down = present[network]
        up.unit_numbers = [_numbers(up)[place] for place in index]
        compaction.keep_units(up, down, index)
    return model


@contextmanager
def gated(model: torch.nn.Module, gates: Mapping[Network, torch.Tensor]) -> Iterator[None]:
    """Multiply each unit, behind the activation, by its gate within the block.

    Args:
        gates: by block and layer, for all units of the network, (F,) or a row for every utterance of the batch (B, F).
    """
    found = networks(model)
    with ExitStack() as hooks:
        for network, gate in gates.items():

            def scale(module, arguments, gate=gate):
                hidden = arguments[0]  # (B, …, F)
                return (hidden * compaction.by_utterance(gate, hidden),)

            hooks.callback(found[network][1].register_forward_pre_hook(scale).remove)
        yield


@contextmanager
def masked(model: torch.nn.Module, removed: Iterable[Unit]) -> Iterator[None]:
    """Within the block the model computes what it would without these units, at its full cost."""
    with gated(model, compaction.open_gates(units(model), removed, next(model.parameters()).device)):
        yield


def _inner(module: torch.nn.Module | None, path: str) -> torch.nn.Module | None:
    for name in path.split("."):
        module = getattr(module, name, None)
    return module


def _numbers(up: torch.nn.Linear) -> list[int]:
    return list(getattr(up, "unit_numbers", range(1, up.out_features + 1)))
