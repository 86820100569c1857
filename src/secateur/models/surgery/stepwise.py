"""Running the layers of ESPnet's encoders one at a time, on states as the layers hand them on.

A state is the hidden frames (B, T', D), or in a Conformer a pair of these and the positions of all utterances.
"""

from collections.abc import Callable
from typing import Any

import torch


class _First(torch.nn.Module):
    """Stands where the layers were, and notes what the first would be given."""

    def forward(self, state: Any, mask: torch.Tensor) -> tuple[Any, torch.Tensor]:
        self.state, self.mask = state, mask
        return state, mask


def first_input(encoder: torch.nn.Module, encode: Callable[[], Any]) -> tuple[Any, torch.Tensor]:
    """What the first layer of an encoder is given while `encode` runs it: the state, and the mask (B, 1, T') of its
    frames."""
    first, layers, heads = _First(), encoder.encoders, getattr(encoder, "interctc_layer_idx", None)
    encoder.encoders = torch.nn.ModuleList([first])
    if heads:
        encoder.interctc_layer_idx = []
    try:
        encode()
    finally:
        encoder.encoders = layers
        if heads:
            encoder.interctc_layer_idx = heads
    return first.state, first.mask


def frames(state: Any) -> torch.Tensor:
    """The hidden frames (B, T', D) of a state."""
    return state[0] if isinstance(state, tuple) else state


def with_frames(state: Any, hidden: torch.Tensor) -> Any:
    """A state with other hidden frames."""
    return (hidden, *state[1:]) if isinstance(state, tuple) else hidden


def run_layer(
    encoder: torch.nn.Module, layer: torch.nn.Module, state: Any, mask: torch.Tensor, lengths: torch.Tensor
) -> Any:
    """The state after one layer of an encoder; `lengths` (B,) are the frames of each utterance."""
    if guard := getattr(encoder, "padding_guard", None):
        guard.lengths = lengths
    return layer(state, mask)[0]


def handed_on(encoder: torch.nn.Module, ctc: torch.nn.Module, number: int, state: Any) -> Any:
    """What layer `number` hands on of the state after it.

    That is the state itself, but at a CTC head that the layers above hear of: self-conditioned CTC (Nozaki & Komatsu
    2021) adds p·W + b, with the head's posteriors p (B, T', V).
    """
    if not getattr(encoder, "interctc_use_conditioning", False):
        return state
    numbers = list(getattr(encoder, "layer_numbers", range(1, len(encoder.encoders) + 1)))
    if number not in numbers or numbers.index(number) + 1 not in encoder.interctc_layer_idx:
        return state
    said = ctc.softmax(encoder.after_norm(frames(state)))
    return with_frames(state, frames(state) + encoder.conditioning_layer(said))
