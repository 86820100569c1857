"""Keys and values of source attention, computed once an utterance: they are the same for all hypotheses and tokens.

ESPnet's decoder projects the encoder's output again for every hypothesis of every step of a search.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from espnet.nets.pytorch_backend.transformer.attention import MultiHeadedAttention
from torch import Tensor


class _Projected(torch.nn.Module):
    """The output of a linear layer that is known, for as many hypotheses as there are."""

    def __init__(self, output: Tensor):
        super().__init__()
        self.output = output

    def forward(self, memory: Tensor) -> Tensor:
        """The known output for `memory`, (hypotheses, frames, dim), which repeats what it was computed from."""
        return self.output.expand(len(memory), -1, -1)


@contextmanager
def projected_once(decoder: torch.nn.Module | None, encoder_out: Tensor) -> Iterator[None]:
    """Let `decoder` attend to `encoder_out`, (frames, dim), and nothing else, by keys and values that are kept."""
    modules = () if decoder is None else decoder.modules()
    found = [module.src_attn for module in modules if hasattr(module, "src_attn")]
    attentions = [each for each in found if isinstance(each, MultiHeadedAttention)]  # one without heads is gone
    layers = [(attention.linear_k, attention.linear_v) for attention in attentions]
    try:
        for attention, (key, value) in zip(attentions, layers, strict=True):
            attention.linear_k = _Projected(key(encoder_out[None]))
            attention.linear_v = _Projected(value(encoder_out[None]))
        yield
    finally:
        for attention, (key, value) in zip(attentions, layers, strict=True):
            attention.linear_k, attention.linear_v = key, value
