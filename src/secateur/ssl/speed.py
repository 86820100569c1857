"""How fast encoders extract features, and what of it their size explains."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from secateur.decoding.timing import PARTS, Measurement, Rows, Timed, measure
from secateur.models.size import PeakMemory
from secateur.models.upstream.config import EncoderConfig, LayerShape
from secateur.models.upstream.encoder import Encoder
from secateur.speech.features import SAMPLE_RATE
from secateur.ssl.costs import SECONDS


def macs_per_second(encoder: Encoder) -> int:
    """Multiply–accumulates of matrix products and convolutions per second of audio, encoding ten seconds at once.

    What ragged heads are filled up with counts, too: it is multiplied.
    """
    with FlopCounterMode(display=False) as counter:
        _encode(encoder)
    return round(counter.get_total_flops() / 2 * SAMPLE_RATE / _samples(encoder))


def peak_memory(encoder: Encoder) -> int:
    """Bytes of all parameters and buffers, plus the most that the tensors of encoding ten seconds took at once."""
    with PeakMemory() as memory:
        _encode(encoder)
    return sum(tensor.nbytes for tensor in [*encoder.parameters(), *encoder.buffers()]) + memory.peak


def cost(encoder: Encoder) -> dict[str, int]:
    """`macs_per_second` and `peak_memory`."""
    return {"macs_per_second": macs_per_second(encoder), "peak_memory": peak_memory(encoder)}


@torch.no_grad()
def _encode(encoder: Encoder) -> None:
    device = encoder.masked_spec_embed.device
    waveforms = torch.zeros(1, _samples(encoder), device=device)
    encoder(waveforms, torch.tensor([waveforms.shape[1]], device=device))


def _samples(encoder: Encoder) -> int:
    """Samples that are encoded at once: ten seconds, or as much as Whisper's window holds."""
    return min(SECONDS * SAMPLE_RATE, encoder.config.window or SECONDS * SAMPLE_RATE)


@torch.inference_mode()
def extraction(
    encoders: Mapping[str, Encoder], waves: Mapping[str, torch.Tensor], rounds: int, device: torch.device
) -> Measurement:
    """Time how long encoders take for the features of each of `waves` (S_i,), by `secateur.decoding.timing.measure`.

    All of it counts as the encoder's; the first encoder is timed twice. On a CPU with one thread the seconds are those
    of the thread, which other jobs do not lengthen; else of a clock on the wall.
    """
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter

    def timed(encoder: Encoder) -> Timed:
        def seconds(name: str) -> dict[str, float]:
            batch, length = waves[name][None].to(device), torch.tensor([len(waves[name])], device=device)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            started = clock()
            encoder(batch, length)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return dict.fromkeys(PARTS, 0.0) | {PARTS[0]: clock() - started}

        return seconds

    systems = {name: timed(encoder) for name, encoder in encoders.items()}
    durations = {name: len(wave) / SAMPLE_RATE for name, wave in waves.items()}
    return measure(systems, next(iter(systems)), durations, rounds)


def in_rounds(rows: Rows) -> list[Rows]:
    """The rows of each round."""
    found: dict[Any, list[Any]] = {}
    for row in rows:
        found.setdefault(row["round"], []).append(row)
    return list(found.values())


def scaled(
    config: EncoderConfig, depth: int, base: EncoderConfig, channels: Sequence[int] | None = None
) -> EncoderConfig:
    """`base` with the shape of a pruned encoder: in every layer, the same shares of heads, widths, units and channels.

    Of layer l of the base's L, the shares are those of layer ⌊l · `depth` / L⌋, and heads follow heads alike.

    Args:
        config: of the pruned encoder; one with fewer layers than `depth` scales to fewer layers, the first ones.
        depth: layers of the encoder that it was made from.
        channels: `conv_dim` of that encoder; None: no channel is gone.
    """
    layers = [
        _scaled_layer(config.shapes[place], config, base)
        for place in (number * depth // base.num_hidden_layers for number in range(base.num_hidden_layers))
        if place < len(config.shapes)
    ]
    whole = channels or config.conv_dim
    places = [number * len(whole) // len(base.conv_dim) for number in range(len(base.conv_dim))]
    conv_dim = tuple(
        max(1, round(width * config.conv_dim[place] / whole[place]))
        for place, width in zip(places, base.conv_dim, strict=True)
    )
    return replace(base, num_hidden_layers=len(layers), layers=tuple(layers), conv_dim=conv_dim)


def _scaled_layer(shape: LayerShape, config: EncoderConfig, base: EncoderConfig) -> LayerShape:
    def share(width: int, whole: int, target: int) -> int:
        return max(1, round(width * target / whole)) if width else 0

    heads, qk, vo = None, [], []
    if shape.heads is not None:
        source = [
            head * config.num_attention_heads // base.num_attention_heads for head in range(base.num_attention_heads)
        ]
        heads = tuple(head for head, place in enumerate(source) if place in shape.heads)
        for head in heads:
            place = shape.heads.index(source[head])
            qk.append(share(shape.qk[place], config.head_dim, base.head_dim))
            vo.append(share(shape.vo[place], config.head_dim, base.head_dim))
    ffn = None if shape.ffn is None else share(shape.ffn, config.intermediate_size, base.intermediate_size)
    return LayerShape(heads, tuple(qk), tuple(vo), ffn)
