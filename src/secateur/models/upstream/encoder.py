"""Speech encoders, dense or pruned: WavLM, HuBERT, wav2vec 2.0 and data2vec, base and large, and that of Whisper.

One model for all: a convolutional feature extractor (or log-mel energies: `front_end`), a projection, a convolutional
position embedding, and Transformer layers; WavLM adds a gated relative position bias to the attention (Baevski et al.
2020 and 2022, Hsu et al. 2021, Chen et al. 2022). Base models normalise after each block, large ones before
(`do_stable_layer_norm`), with one more norm on the last layer's output, which is then the last hidden state. Whisper's
encoder is such a large one behind a front end of its own (`secateur.models.upstream.window`).
Dimensions: (B, S) samples at 16 kHz, (B, T, D) frames.

A layer may have any number of heads (none included), each with its own width of queries and keys and its own width of
values, a feed-forward block of any width, and no attention or no feed-forward block at all: see `LayerShape`.

Padding changes nothing: every utterance of a batch has the hidden states that it has alone. The original models
normalise the first convolution over the padding, too, and so does transformers, with or without an attention mask; here
the statistics are those of the utterance's own frames. Nor does data2vec's stack of convolutions keep what lies behind
an utterance's end at zero. So padded batches differ from transformers' and single utterances do not. What stands in the
frames behind an utterance's end is without meaning.
"""

import math
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from secateur.core.errors import SecateurError
from secateur.models.dropout import Dropout
from secateur.models.no_block import NoBlock
from secateur.models.upstream.config import MEL, WHISPER, EncoderConfig, LayerShape
from secateur.models.upstream.convolutions import (
    FeatureExtractor,
    FeatureProjection,
    Front,
    positions,
    valid_frames,
)
from secateur.models.upstream.mel import LogMel
from secateur.models.upstream.modes import is_eager

GATE = 4  # outputs of WavLM's position gate that are summed to one logit


class RelativePositions(nn.Module):
    """WavLM's position bias: one value per head for every bucket of distances (Raffel et al. 2020), for all layers."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.buckets, self.max_distance = config.num_buckets, config.max_bucket_distance
        self.weight = nn.Parameter(torch.randn(self.buckets, config.num_attention_heads))

    def forward(self, frames: int) -> torch.Tensor:
        """The bias (H, T, T) of a query in each row for a key in each column."""
        device = self.weight.device
        distances = torch.arange(1 - frames, frames, device=device)  # key − query
        table = self.weight[self.bucket(distances)].T  # (H, 2T − 1)
        places = torch.arange(frames, device=device)
        return table[:, places[None, :] - places[:, None] + frames - 1]

    def bucket(self, distances: torch.Tensor) -> torch.Tensor:
        """Bucket of each distance: exact ones for small distances, then wider and wider up to the largest."""
        half = self.buckets // 2
        exact = half // 2
        size = distances.abs()
        wide = torch.log(size.clamp(min=1).float() / exact) / math.log(self.max_distance / exact) * (half - exact)
        wide = (exact + wide).long().clamp(max=half - 1)
        return torch.where(size < exact, size, wide) + half * (distances > 0)


class Attention(nn.Module):
    """Multi-head self-attention whose heads have widths of their own, with WavLM's gated position bias if it has one.

    Ragged heads are computed together, filled up with zeros to the widest: the padding costs arithmetic in the products
    of queries, keys and values only, never in the projections.
    """

    def __init__(self, config: EncoderConfig, shape: LayerShape):
        super().__init__()
        if not len(shape.heads) == len(shape.qk) == len(shape.vo):
            raise SecateurError(
                f"{len(shape.heads)} heads with widths {shape.qk} and {shape.vo}; give each one of both"
            )
        self.all_heads, self.head_dim = config.num_attention_heads, config.head_dim
        self.dropout = config.attention_dropout
        size, qk, vo = config.hidden_size, sum(shape.qk), sum(shape.vo)
        self.q_proj, self.v_proj = nn.Linear(size, qk), nn.Linear(size, vo)
        self.k_proj = nn.Linear(size, qk, bias=config.model_type != WHISPER)
        self.out_proj = nn.Linear(vo, size)
        self.gated = config.model_type == "wavlm"
        if self.gated:
            self.gru_rel_pos_const = nn.Parameter(torch.ones(1, len(shape.heads), 1, 1))
            self.gru_rel_pos_linear = nn.Linear(self.head_dim, 2 * GATE)
        self.set_heads(shape.heads, shape.qk, shape.vo)

    def set_heads(self, heads: Sequence[int], qk: Sequence[int], vo: Sequence[int]) -> None:
        """Say which heads the weights are of, and how wide each is: see `config.LayerShape`."""
        self.heads, self.qk, self.vo = list(heads), list(qk), list(vo)
        device = self.out_proj.weight.device
        for name, widths in (("qk", self.qk), ("vo", self.vo)):
            spread, kept = _places(widths)
            self.register_buffer(f"{name}_spread", spread.to(device), persistent=False)
            self.register_buffer(f"{name}_kept", kept.to(device), persistent=False)

    # What ESPnet's attention is asked for by `secateur.models.surgery.heads`.

    @property
    def h(self) -> int:
        return len(self.heads)

    @property
    def d_k(self) -> int:
        return self.head_dim

    @property
    def head_numbers(self) -> list[int]:
        return [head + 1 for head in self.heads]

    @property
    def linear_q(self) -> nn.Linear:
        return self.q_proj

    @property
    def linear_k(self) -> nn.Linear:
        return self.k_proj

    @property
    def linear_v(self) -> nn.Linear:
        return self.v_proj

    @property
    def linear_out(self) -> nn.Linear:
        return self.out_proj

    def forward(
        self, hidden: torch.Tensor, positions: torch.Tensor | None, padded: torch.Tensor | None
    ) -> torch.Tensor:
        """(B, T, D) → (B, T, D).

        Args:
            positions: (H, T, T), WavLM's position bias of all heads of the dense model.
            padded: (B, T), true for frames that no query may see; None if there are none.
        """
        if not self.heads:
            return self.out_proj(hidden[..., :0])
        query = _spread(self.q_proj(hidden), self.qk, self.qk_spread)
        key = _spread(self.k_proj(hidden), self.qk, self.qk_spread)
        value = _spread(self.v_proj(hidden), self.vo, self.vo_spread)
        query, key, value = (
            part.flatten(0, 1) for part in (query * self.head_dim**-0.5, key, value)
        )  # (B·H, T, width)
        bias = self._bias(hidden, positions, padded, query.dtype)
        if bias is None:
            scores = query @ key.transpose(1, 2)
        else:
            scores = torch.baddbmm(bias.flatten(0, 1), query, key.transpose(1, 2))
        weights = functional.dropout(scores.softmax(-1), self.dropout, self.training)
        context = (weights.to(value.dtype) @ value).unflatten(0, (-1, len(self.heads)))
        context = context.transpose(1, 2).flatten(2)
        if len(set(self.vo)) > 1:
            context = context.index_select(2, self.vo_kept)
        return self.out_proj(context)

    def _bias(
        self, hidden: torch.Tensor, positions: torch.Tensor | None, padded: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor | None:
        """What is added to the products of queries and keys, (B, H, T, T) or None."""
        bias = None
        if self.gated:
            if len(self.heads) < self.all_heads:
                positions = positions[self.heads]
            bias = (self._gate(hidden) * positions).to(dtype)
        if padded is not None:
            if bias is None:
                batch, frames = padded.shape
                bias = torch.zeros(batch, len(self.heads), frames, frames, dtype=dtype, device=hidden.device)
            bias = bias.masked_fill(padded[:, None, None, :], -math.inf)
        return bias

    def _gate(self, hidden: torch.Tensor) -> torch.Tensor:
        """Factor (B, H, T, 1) of the position bias, from the head's part of the input (Chen et al. 2022, III.B)."""
        parts = hidden.unflatten(2, (self.all_heads, self.head_dim))
        if len(self.heads) < self.all_heads:
            parts = parts[:, :, self.heads]
        linear = self.gru_rel_pos_linear
        # The logits are sums of GATE outputs each: sum the weights instead.
        weight, bias = linear.weight.unflatten(0, (2, GATE)).sum(1), linear.bias.unflatten(0, (2, GATE)).sum(1)
        gates = torch.sigmoid(functional.linear(parts, weight, bias)).transpose(1, 2)
        update, reset = gates[..., :1], gates[..., 1:]
        return update * (reset * self.gru_rel_pos_const - 1.0) + 2.0


class FeedForward(nn.Module):
    def __init__(self, config: EncoderConfig, width: int):
        super().__init__()
        self.intermediate_dense = nn.Linear(config.hidden_size, width)
        self.intermediate_dropout = Dropout(config.activation_dropout)
        self.output_dense = nn.Linear(width, config.hidden_size)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(B, T, D) → (B, T, D)."""
        return self.output_dense(self.intermediate_dropout(functional.gelu(self.intermediate_dense(hidden))))


class EncoderLayer(nn.Module):
    """A Transformer layer: attention and feed-forward network, each with a norm after it, or before it in large models.

    A norm after a block stays where the block is gone; a norm before goes with it.
    """

    def __init__(self, config: EncoderConfig, shape: LayerShape):
        super().__init__()
        self.normalize_before = config.do_stable_layer_norm
        self.attention = NoBlock() if shape.heads is None else Attention(config, shape)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = NoBlock() if shape.ffn is None else FeedForward(config, shape.ffn)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout)
        if self.normalize_before:
            if shape.heads is None:
                self.layer_norm = nn.Identity()
            if shape.ffn is None:
                self.final_layer_norm = nn.Identity()

    def forward(
        self, hidden: torch.Tensor, positions: torch.Tensor | None, padded: torch.Tensor | None
    ) -> torch.Tensor:
        """(B, T, D) → (B, T, D)."""
        if self.normalize_before:
            hidden = hidden + self.dropout(self.attention(self.layer_norm(hidden), positions, padded))
            return hidden + self.dropout(self.feed_forward(self.final_layer_norm(hidden)))
        hidden = self.layer_norm(hidden + self.dropout(self.attention(hidden, positions, padded)))
        return self.final_layer_norm(hidden + self.dropout(self.feed_forward(hidden)))


class Transformer(nn.Module):
    """Position embedding and layers."""

    def __init__(self, config: EncoderConfig, layer: type[EncoderLayer] = EncoderLayer):
        super().__init__()
        self.windowed = config.model_type == WHISPER
        self.pos_conv_embed = positions(config)
        self.normalize_before = config.do_stable_layer_norm
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout)
        self.rel_attn_embed = RelativePositions(config) if config.model_type == "wavlm" else None
        self.layers = nn.ModuleList(layer(config, shape) for shape in config.shapes)

    def forward(self, hidden: torch.Tensor, frames: torch.Tensor | None) -> list[torch.Tensor]:
        """(B, T, D) with `frames` (B,) valid ones (None: all) → L + 1 tensors (B, T, D)."""
        padded = None if frames is None or self.windowed else ~valid_frames(frames, hidden.shape[1])
        hidden, positions = self.begin(hidden, padded)
        states = [hidden]
        for layer in self.layers:
            states.append(layer(states[-1], positions, padded))
        if self.normalize_before:
            states[-1] = self.layer_norm(states[-1])
        return states

    def begin(self, hidden: torch.Tensor, padded: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the first layer is given: hidden states (B, T, D), and WavLM's position bias (H, T, T)."""
        if padded is not None:
            hidden = hidden.masked_fill(padded[..., None], 0.0)
        hidden = hidden + self.pos_conv_embed(hidden, padded)
        hidden = self.dropout(hidden if self.normalize_before else self.layer_norm(hidden))
        return hidden, None if self.rel_attn_embed is None else self.rel_attn_embed(hidden.shape[1])


class Frames(nn.Module):
    """What makes frames of samples: the part of an encoder before its Transformer, but for the projection."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        self.feature_extractor = _extractor(config)

    def features(
        self, waveforms: torch.Tensor, lengths: torch.Tensor, front: Front | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Output (B, T, C) of the feature extractor, and the numbers of frames (B,), of Whisper's encoder those of the
        window; `front`: its channels' gates."""
        frames = self.config.frames(lengths)
        if is_eager() and int(frames.min()) < 1:
            raise SecateurError(
                f"an utterance of {int(lengths.min())} samples is shorter than one frame of the encoder, "
                f"{self.config.receptive_field} samples; exclude it"
            )
        if self.config.window:
            frames = torch.full_like(frames, self.config.num_conv_pos_embeddings)
        if self.config.do_normalize:
            waveforms = _standardize(waveforms, lengths)
        inputs = (waveforms, _unless_full(lengths, waveforms.shape[1]))
        if front is None:
            return self.feature_extractor(*inputs), frames
        gated = torch.func.functional_call(self.feature_extractor, dict(front.extractor), (*inputs, front.kept))
        return gated, frames


class Encoder(Frames):
    """A self-supervised encoder. Its randomness, when it is built, comes from torch's global generator."""

    def __init__(self, config: EncoderConfig):
        super().__init__(config)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Initializing zero-element tensors")  # of blocks without units
            self.feature_projection = nn.Identity() if config.model_type == WHISPER else FeatureProjection(config)
            self.masked_spec_embed = nn.Parameter(torch.rand(config.hidden_size))
            self.encoder = Transformer(config)

    def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Hidden states of waveforms (B, S) of `lengths` (B,) samples at 16 kHz, zero padded.

        Returns L + 1 tensors (B, T, D), the input of the first layer and every layer's output, and the numbers of
        frames (B,). Raises SecateurError for an utterance that is shorter than one frame, or longer than Whisper's
        window.
        """
        features, frames = self.features(waveforms, lengths)
        hidden = self.contextualize(features, frames)
        if self.config.window:  # the silence behind the utterances is left out
            frames = self.config.frames(lengths)
            hidden = [state[:, : int(frames.max())] for state in hidden]
        return hidden, frames

    def contextualize(
        self,
        features: torch.Tensor,
        frames: torch.Tensor,
        masked: torch.Tensor | None = None,
        weights: Mapping[str, torch.Tensor] | None = None,
        front: Front | None = None,
    ) -> list[torch.Tensor]:
        """Hidden states, L + 1 tensors (B, T, D), of what `features` gave.

        Args:
            masked: (B, T), frames that the mask's embedding takes the place of.
            weights: tensors that stand in for parameters of `self.encoder`, by name.
            front: the gates of the channels that `features` was given.
        """
        if front is None:
            hidden = self.feature_projection(features)
        else:
            projected = (features, front.kept[-1])
            hidden = torch.func.functional_call(self.feature_projection, dict(front.projection), projected)
        if masked is not None:
            hidden = torch.where(masked[..., None], self.masked_spec_embed.to(hidden.dtype), hidden)
        inputs = (hidden, _unless_full(frames, hidden.shape[1]))
        return torch.func.functional_call(self.encoder, dict(weights), inputs) if weights else self.encoder(*inputs)


def _extractor(config: EncoderConfig) -> nn.Module:
    """What makes frames of samples."""
    if config.model_type == WHISPER:  # transformers' part of it takes seconds to import
        from secateur.models.upstream.window import WindowExtractor

        return WindowExtractor(config)
    return (LogMel if config.front_end == MEL else FeatureExtractor)(config)


def _unless_full(lengths: torch.Tensor, most: int) -> torch.Tensor | None:
    """`lengths`, or None if nothing is padded, which is quicker."""
    return None if is_eager() and int(lengths.min()) == most else lengths


def _standardize(waveforms: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Mean 0 and variance 1 over each utterance's samples, as Hugging Face's feature extractor does it."""
    valid = valid_frames(lengths, waveforms.shape[1])
    count = lengths[:, None]
    centred = (waveforms - (waveforms * valid).sum(1, keepdim=True) / count) * valid
    return centred * torch.rsqrt(centred.square().sum(1, keepdim=True) / count + 1e-7)


def _places(widths: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each head's units go when all are filled up to the widest.

    Returns the source of every padded place (H · max), the number of units for one that stays zero, and the padded
    places that hold the units, in their order.
    """
    widest, total = max(widths, default=0), sum(widths)
    spread, kept, start = [], [], 0
    for head, width in enumerate(widths):
        spread += [*range(start, start + width), *[total] * (widest - width)]
        kept += range(head * widest, head * widest + width)
        start += width
    return torch.tensor(spread, dtype=torch.long), torch.tensor(kept, dtype=torch.long)


def _spread(projected: torch.Tensor, widths: Sequence[int], places: torch.Tensor) -> torch.Tensor:
    """(B, T, Σ widths) → (B, H, T, max width)."""
    if len(set(widths)) > 1:
        projected = functional.pad(projected, (0, 1)).index_select(2, places)
    return projected.unflatten(2, (len(widths), max(widths))).transpose(1, 2)
