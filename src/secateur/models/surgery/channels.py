"""Channels of the convolutions through which a model hears its frames (`input: conv2d`): gates, and exact removal.

A channel is named by the convolution, in order of computation, and its own number, both from 1. The numbers are those
of the whole model in every smaller one, as for layers and heads. Each convolution is followed by a ReLU, and the last
one by a linear layer, which reads the frequencies of every channel one after the other. A removed channel and its bias
are gone: what a gate of zero behind the ReLU gives. The last channel of a convolution stays.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import NamedTuple

import torch

from secateur.core.errors import SecateurError
from secateur.models.surgery.compaction import keep_inputs, keep_slices, open_gates


class Channel(NamedTuple):
    """The name of a channel."""

    convolution: int
    channel: int

    @property
    def group(self) -> int:
        """What the channel is a part of."""
        return self.convolution

    def __str__(self) -> str:
        return f"channel {self.channel} of convolution {self.convolution}"


def has_channels(model: torch.nn.Module) -> bool:
    """Whether a model hears its frames through convolutions whose channels can be removed."""
    front = getattr(getattr(model, "encoder", None), "embed", None)
    return isinstance(getattr(front, "conv", None), torch.nn.Sequential) and hasattr(front, "out")


def convolutions(model: torch.nn.Module) -> dict[int, torch.nn.Conv2d]:
    """The convolutions by number. Raises SecateurError if the model has none whose channels can be removed."""
    return {place: conv for place, (conv, _) in enumerate(_front(model), 1)}


def channels(model: torch.nn.Module) -> list[Channel]:
    """The channels of a model, in order. Raises SecateurError if it has none that can be removed."""
    return [Channel(place, number) for place, (conv, _) in enumerate(_front(model), 1) for number in _numbers(conv)]


def magnitudes(model: torch.nn.Module) -> dict[int, list[float]]:
    """The mean of |w| of each channel's kernels, in the order of `channels`."""
    kernels = {place: conv.weight.detach().double() for place, conv in convolutions(model).items()}
    return {place: weight.abs().flatten(1).mean(1).tolist() for place, weight in kernels.items()}


def kept_channels(model: torch.nn.Module) -> dict[str, list[int]]:
    """The channels of the convolutions that lost some, for a configuration (`kept_channels`): convolution → numbers."""
    found = convolutions(model) if has_channels(model) else {}
    return {str(place): _numbers(conv) for place, conv in found.items() if hasattr(conv, "channel_numbers")}


def remove_channels(model: torch.nn.Module, removed: Iterable[Channel]) -> torch.nn.Module:
    """Remove channels from a model, in place, and return it.

    Raises SecateurError for a channel that it does not have, and where none of a convolution would be left, before
    anything is removed.
    """
    removed = set(removed)
    if unknown := sorted(removed - set(channels(model))):
        raise SecateurError(f"the model has no {unknown[0]}; it may be gone already")
    kept: dict[str, list[int]] = {}
    for channel in channels(model):
        kept.setdefault(str(channel.convolution), [])
        if channel not in removed:
            kept[str(channel.convolution)].append(channel.channel)
    return keep_channels(model, kept)


def keep_channels(model: torch.nn.Module, kept: Mapping[str, list[int]]) -> torch.nn.Module:
    """Remove all other channels of the convolutions that are named, in place; the inverse of `kept_channels`.

    Raises SecateurError for what the model does not have, and where none would be left, before anything is removed.
    """
    front = _front(model)
    places: dict[int, torch.Tensor] = {}
    for name, numbers in kept.items():
        if not 1 <= int(name) <= len(front):
            raise SecateurError(f"the model has no convolution {name}; correct kept_channels in its model.json")
        if not numbers:
            raise SecateurError(f"no channel of convolution {name} would be left; keep at least one")
        found = _numbers(front[int(name) - 1][0])
        if missing := set(numbers) - set(found):
            raise SecateurError(f"the model has no {Channel(int(name), min(missing))}")
        places[int(name)] = torch.tensor([found.index(number) for number in sorted(numbers)])
    following = [*(conv for conv, _ in front[1:]), model.encoder.embed.out[0]]
    for place, index in places.items():
        conv, after = front[place - 1][0], following[place - 1]
        conv.channel_numbers = [_numbers(conv)[position] for position in index.tolist()]
        width = conv.out_channels
        for name in ("weight", "bias"):
            keep_slices(conv, name, index, 0)
        conv.out_channels = len(index)
        if isinstance(after, torch.nn.Linear):
            bins = after.in_features // width
            keep_inputs(after, (index[:, None] * bins + torch.arange(bins)).flatten())
        else:
            keep_slices(after, "weight", index, 1)
            after.in_channels = len(index)
    return model


@contextmanager
def gated(model: torch.nn.Module, gates: Mapping[int, torch.Tensor]) -> Iterator[None]:
    """Multiply the output of each channel, behind the ReLU, by its gate.

    Args:
        gates: by convolution, for all of its channels, (C,) or one row for every utterance of the batch (B, C).
    """
    front = _front(model)
    with ExitStack() as hooks:
        for place, gate in gates.items():

            def scale(module, arguments, output, gate=gate):
                return output * gate.to(output.dtype)[..., None, None]  # (B, C, T, F)

            hooks.callback(front[place - 1][1].register_forward_hook(scale).remove)
        yield


@contextmanager
def masked(model: torch.nn.Module, removed: Iterable[Channel]) -> Iterator[None]:
    """Within the block the model computes what it would without these channels, at its full cost."""
    with gated(model, open_gates(channels(model), removed, next(model.parameters()).device)):
        yield


def _front(model: torch.nn.Module) -> list[tuple[torch.nn.Conv2d, torch.nn.Module]]:
    """The convolutions, each with the activation behind it."""
    if not has_channels(model):
        raise SecateurError("the model hears no frames through convolutions; channels are of models with input: conv2d")
    modules = list(model.encoder.embed.conv)
    return [(conv, activation) for conv, activation in pairwise(modules) if isinstance(conv, torch.nn.Conv2d)]


def _numbers(conv: torch.nn.Conv2d) -> list[int]:
    return list(getattr(conv, "channel_numbers", range(1, conv.out_channels + 1)))
