"""How much a model needs each part of a kind, and which go first: channels of the convolutions that it hears its frames
through, and units of its feed-forward networks.

As for heads (`heads.importance`): with a gate ξ behind every part, all at 1, the importance of a part is the mean over
utterances of |∂L/∂ξ|; `magnitude`, the mean of |w| of its own weights, and `random` are controls. Of every convolution
or network the same share goes: they differ too much in what they cost for one order of all.
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.heads.importance import gate_slopes
from secateur.models.surgery import channels, units
from secateur.speech.data import Batch

GRADIENT, MAGNITUDE, RANDOM = "gradient", "magnitude", "random"
IMPORTANCES = (GRADIENT, MAGNITUDE, RANDOM)

Part = Any
"""A `channels.Channel` or a `units.Unit`: a tuple with its own number last, and `group`, what it is a part of."""
Values = dict[Part, float]


@dataclass(frozen=True)
class Kind:
    """A kind of parts: its name, the parts of a model in order, and what `models.surgery` does with them."""

    name: str
    parts: Callable[[torch.nn.Module], list[Part]]
    magnitudes: Callable[[torch.nn.Module], Mapping[Any, list[float]]]
    gated: Callable[[torch.nn.Module, Mapping[Any, torch.Tensor]], AbstractContextManager[None]]
    masked: Callable[[torch.nn.Module, Iterable[Part]], AbstractContextManager[None]]
    remove: Callable[[torch.nn.Module, Iterable[Part]], torch.nn.Module]


CHANNELS = Kind(
    "channels", channels.channels, channels.magnitudes, channels.gated, channels.masked, channels.remove_channels
)
UNITS = Kind("units", units.units, units.magnitudes, units.gated, units.masked, units.remove_units)


def importance(model: torch.nn.Module, kind: Kind, name: str, batches: Sequence[Batch], seed: int) -> Values:
    """One importance of every part of a model, a model in evaluation mode, on the device that it is on.

    Args:
        name: one of IMPORTANCES.
        batches: some utterances and their texts, for `gradient`.
        seed: of `random`.

    Raises SecateurError for another name, and for what `gate_slopes` refuses.
    """
    present = kind.parts(model)
    if name == GRADIENT:
        ones: dict[Any, list[float]] = {}
        for part in present:
            ones.setdefault(part.group, []).append(1.0)
        slopes = gate_slopes(model, batches, ones, kind.gated)
        values = [float(value) for group in ones for value in slopes[group].mean(axis=0)]
    elif name == MAGNITUDE:
        values = [value for means in kind.magnitudes(model).values() for value in means]
    elif name == RANDOM:
        generator = random.Random(seed)
        values = [generator.random() for _ in present]
    else:
        raise SecateurError(f"importance {name!r} of {kind.name} is unknown; choose from {', '.join(IMPORTANCES)}")
    return dict(zip(present, values, strict=True))


def removed_at(values: Mapping[Part, float], kind: Kind, share: float) -> list[Part]:
    """The parts that go at a share: of every group the least important, rounded half up; one stays."""
    if not 0 <= share <= 1:
        raise SecateurError(f"a share of {share:g} of the {kind.name} cannot be removed; give one from 0 to 1")
    removed: list[Part] = []
    for group in dict.fromkeys(part.group for part in values):
        order = sorted((one for one in values if one.group == group), key=lambda one: (values[one], one))
        removed += order[: min(math.floor(share * len(order) + 0.5), len(order) - 1)]
    return sorted(removed)
