"""Positional encodings that an ONNX file computes, instead of a store of 5,000 positions, larger than a small model."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from espnet.nets.pytorch_backend.transformer.embedding import PositionalEncoding, RelPositionalEncoding


def encoding(positions: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines (T, D), in turns, of positions (T,) (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * -(math.log(10000.0) / width))
    angles = positions[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


def _absolute(self: Any, x: torch.Tensor) -> torch.Tensor:
    return x * self.xscale + encoding(torch.arange(x.size(1), dtype=torch.float32), self.d_model)


def _relative(self: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The encoding (1, 2 T - 1, D) is of T - 1, what is furthest to the left, down to 1 - T."""
    positions = -torch.arange(1 - x.size(1), x.size(1), dtype=torch.float32)
    return x * self.xscale, encoding(positions, self.d_model)[None]


COMPUTED = {PositionalEncoding: _absolute, RelPositionalEncoding: _relative}
"""By class what its `forward` does in evaluation mode. Others keep their store."""


@contextmanager
def computed_positions(module: torch.nn.Module) -> Iterator[None]:
    """While this lasts, positional encodings of `module`, in evaluation mode, are computed as they are needed."""
    changed = [one for one in module.modules() if type(one) in COMPUTED]
    for one in changed:
        one.__dict__["forward"] = MethodType(COMPUTED[type(one)], one)
    try:
        yield
    finally:
        for one in changed:
            del one.__dict__["forward"]
