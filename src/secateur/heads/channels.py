"""How much a model needs each channel of the convolutions that it hears its frames through, and which go first.

As for heads (`heads.importance`): with a gate ξ behind every channel, all at 1, the importance of a channel is the mean
over utterances of |∂L/∂ξ|; `magnitude`, the mean of |w| of its kernels, and `random` are controls. Of every convolution
the same share goes: their channels differ too much in number of frames and in cost for one order of all.
"""

import math
import random
from collections.abc import Mapping, Sequence

import torch

from secateur.core.errors import SecateurError
from secateur.heads.importance import gate_slopes
from secateur.models.surgery.channels import Channel, channels, convolutions, gated
from secateur.speech.data import Batch

GRADIENT, MAGNITUDE, RANDOM = "gradient", "magnitude", "random"
IMPORTANCES = (GRADIENT, MAGNITUDE, RANDOM)

Values = dict[Channel, float]


def importance(model: torch.nn.Module, name: str, batches: Sequence[Batch], seed: int) -> Values:
    """One importance of every channel of a model, a model in evaluation mode, on the device that it is on.

    Args:
        name: one of IMPORTANCES.
        batches: some utterances and their texts, for `gradient`.
        seed: of `random`.

    Raises SecateurError for another name, and for what `gate_slopes` refuses.
    """
    present = channels(model)
    if name == GRADIENT:
        ones = {place: [1.0] * conv.out_channels for place, conv in convolutions(model).items()}
        slopes = gate_slopes(model, batches, ones, gated)
        values = [float(value) for place in ones for value in slopes[place].mean(axis=0)]
    elif name == MAGNITUDE:
        kernels = (conv.weight.detach().double().abs().flatten(1).mean(1) for conv in convolutions(model).values())
        values = [value for means in kernels for value in means.tolist()]
    elif name == RANDOM:
        generator = random.Random(seed)
        values = [generator.random() for _ in present]
    else:
        raise SecateurError(f"importance {name!r} of channels is unknown; choose from {', '.join(IMPORTANCES)}")
    return dict(zip(present, values, strict=True))


def removed_at(values: Mapping[Channel, float], share: float) -> list[Channel]:
    """The channels that go at a share: of every convolution the least important, rounded half up; one stays."""
    if not 0 <= share <= 1:
        raise SecateurError(f"a share of {share:g} of the channels cannot be removed; give one from 0 to 1")
    removed: list[Channel] = []
    for place in dict.fromkeys(channel.convolution for channel in values):
        order = sorted((one for one in values if one.convolution == place), key=lambda one: (values[one], one))
        removed += order[: min(math.floor(share * len(order) + 0.5), len(order) - 1)]
    return sorted(removed)
