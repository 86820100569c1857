"""What an encoder's layers cost, as a function of the gates on them: parameters, multiply–adds, or time.

    cost = Σ_layers z_mha (c_attention + Σ_heads (c_head + c_qk Σ z_qk + c_vo Σ z_vo)) + z_ffn (c_ffn + c_int Σ z_int)

summed over heads of which values are left (`secateur.ssl.gated.remaining`). The coefficients of parameters and of
multiply–adds are counted, those of time are measured, on the machine and device that trains.
"""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from secateur.core.errors import SecateurError
from secateur.models.upstream.config import WHISPER, EncoderConfig, LayerShape
from secateur.models.upstream.encoder import GATE, Attention, Encoder, FeedForward
from secateur.speech.features import SAMPLE_RATE

PARAMETERS, MACS, LATENCY = "parameters", "macs", "latency"
TARGETS = (PARAMETERS, MACS, LATENCY)
SECONDS = 10
"""Of speech, in which multiply–adds are counted and time is measured: attention's share grows with it."""
ROUNDS = 15


class Costs(NamedTuple):
    """Coefficients of the cost, each a number or a tensor with one.

    Attributes:
        attention, head: of an attention block, and of a head with any values, besides what widths cost.
        qk, vo: of a width of queries and keys, and of values.
        feed_forward, unit: of a feed-forward block, and of each of its units.
        product: of a width of `qk` or `vo` when heads are computed together, filled up to the widest.
    """

    attention: float
    head: float
    qk: float
    vo: float
    feed_forward: float
    unit: float
    product: float = 0.0


def costs_of(target: str, encoder: Encoder) -> Costs:
    """The coefficients of a kind of target, for a dense encoder. Raises SecateurError for a kind that there is not."""
    if target == PARAMETERS:
        return parameters(encoder.config)
    if target == MACS:
        return multiply_adds(encoder.config)
    if target == LATENCY:
        return measured(encoder.config, encoder.masked_spec_embed.device)
    raise SecateurError(f"target {target!r}; choose one of {', '.join(TARGETS)}")


def parameters(config: EncoderConfig) -> Costs:
    """Parameters, with biases and WavLM's gate of the position bias."""
    size, wavlm = config.hidden_size, config.model_type == "wavlm"
    biases = 1 + (config.model_type != WHISPER)  # of queries and keys; Whisper's keys have none
    block = size + wavlm * 2 * GATE * (config.head_dim + 1)
    return Costs(block, wavlm, 2 * size + biases, 2 * size + 1, size, 2 * size + 1)


def multiply_adds(config: EncoderConfig) -> Costs:
    """Multiply–adds per frame of matrix products, as `secateur.ssl.speed.macs_per_second` counts them."""
    size, frames = config.hidden_size, int(config.frames(config.window or SECONDS * SAMPLE_RATE))
    head = 2 * config.head_dim if config.model_type == "wavlm" else 0
    return Costs(0.0, head, 2 * size, 2 * size, 0.0, 2 * size, product=frames)


@torch.inference_mode()
def measured(config: EncoderConfig, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> Costs:
    """Seconds, of blocks of random weights: those of whole ones, and with half of one thing removed at a time.

    The blocks take turns, and the median of all rounds counts. What a difference is below zero counts as nothing.
    """
    heads, width, units = config.num_attention_heads, config.head_dim, config.intermediate_size
    half = max(1, width // 2)
    whole = config.dense_layer
    fewer = heads // 2
    shapes = {
        "whole": whole,
        "qk": LayerShape(whole.heads, (half,) * heads, whole.vo, units),
        "vo": LayerShape(whole.heads, whole.qk, (half,) * heads, units),
        "heads": LayerShape(whole.heads[:fewer], whole.qk[:fewer], whole.vo[:fewer], units),
    }
    frames = int(config.frames(config.window or SECONDS * SAMPLE_RATE))
    hidden = torch.randn(1, frames, config.hidden_size, device=device)
    positions = torch.zeros(heads, frames, frames, device=device) if config.model_type == "wavlm" else None
    blocks: dict[str, tuple[torch.nn.Module, tuple]] = {
        name: (Attention(config, shape).to(device).eval(), (hidden, positions, None)) for name, shape in shapes.items()
    }
    blocks |= {
        name: (FeedForward(config, width).to(device).eval(), (hidden,))
        for name, width in (("ffn", units), ("unit", max(1, units // 2)))
    }
    seconds: dict[str, list[float]] = {name: [] for name in blocks}
    for round_number in range(ROUNDS + 1):
        for name, (block, inputs) in blocks.items():
            _wait(device)
            began = clock()
            block(*inputs)
            _wait(device)
            if round_number:  # the first warms up
                seconds[name].append(clock() - began)
    return fitted({name: statistics.median(found) for name, found in seconds.items()}, heads, width, units)


def fitted(seconds: dict[str, float], heads: int, width: int, units: int) -> Costs:
    """The coefficients behind the times of blocks, see `measured`; a whole block costs what it took."""
    saved = {name: max(0.0, seconds["whole"] - seconds[name]) for name in ("qk", "vo", "heads")}
    qk, vo = (saved[name] / (heads * (width - max(1, width // 2)) or 1) for name in ("qk", "vo"))
    head = max(0.0, saved["heads"] / (heads - heads // 2) - width * (qk + vo))
    unit = max(0.0, seconds["ffn"] - seconds["unit"]) / max(1, units - max(1, units // 2))
    attention = max(0.0, seconds["whole"] - heads * (head + width * (qk + vo)))
    return Costs(attention, head, qk, vo, max(0.0, seconds["ffn"] - units * unit), unit)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
