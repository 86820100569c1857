"""The convolutions of self-supervised encoders: from a waveform to frames, and the embedding of positions.

Of each there are two forms. Base models normalise the first convolution of the extractor over time, per channel; large
ones and data2vec normalise every convolution over its channels (`feat_extract_norm`: `group`, `layer`). Positions come
from one wide convolution, or, in data2vec, from several narrow ones with norms without weights (Baevski et al. 2022).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from secateur.models.dropout import Dropout
from secateur.models.upstream.config import DATA2VEC, GROUP, MEL, WHISPER, EncoderConfig


def valid_frames(frames: torch.Tensor, most: int) -> torch.Tensor:
    """(B, T), true where an utterance of `frames` (B,) has a frame."""
    return torch.arange(most, device=frames.device) < frames[:, None]


@dataclass(frozen=True)
class Front:
    """A front end with gates on its channels (`secateur.ssl.channels`).

    Attributes:
        extractor, projection: tensors that stand in for parameters of the feature extractor and projection, by name.
        kept: by convolution, which of its channels are left (C_l,): norms over channels are over these.
    """

    extractor: Mapping[str, torch.Tensor]
    projection: Mapping[str, torch.Tensor]
    kept: Sequence[torch.Tensor]


def normalized(norm: nn.Module, hidden: torch.Tensor, kept: torch.Tensor | None) -> torch.Tensor:
    """Layer normalisation of (…, C) with the statistics of the channels `kept` (C,), or of all for None."""
    if kept is None:
        return norm(hidden)
    count, weights = kept.sum().clamp(min=1), kept.to(torch.float32)
    centred = hidden.float() - (hidden.float() * weights).sum(-1, keepdim=True) / count
    variance = (centred.square() * weights).sum(-1, keepdim=True) / count
    return (centred * torch.rsqrt(variance + norm.eps) * norm.weight + norm.bias).to(hidden.dtype)


class ConvLayer(nn.Module):
    """A convolution without padding, a norm of a kind, and a GELU.

    Args:
        norm: over time (`GroupNorm`, a group a channel), over channels (`LayerNorm`), or None.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, bias: bool, norm: nn.Module | None):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=bias)
        self.layer_norm = norm

    def forward(
        self, hidden: torch.Tensor, frames: torch.Tensor | None, kept: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(B, C, T) → (B, C', T'); `frames` (B,) are the valid ones of the output, `kept` (C',) its channels that are
        left; None for all."""
        hidden = self.conv(hidden)
        if isinstance(self.layer_norm, nn.LayerNorm):
            hidden = normalized(self.layer_norm, hidden.transpose(1, 2), kept).transpose(1, 2)
        elif self.layer_norm is not None:
            hidden = self.layer_norm(hidden) if frames is None else self._normalize(hidden.float(), frames)
        return functional.gelu(hidden)

    def _normalize(self, hidden: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Group normalisation with the statistics of each utterance's valid frames."""
        valid = valid_frames(frames, hidden.shape[2])[:, None]
        count = frames[:, None, None]
        mean = (hidden * valid).sum(2, keepdim=True) / count
        centred = (hidden - mean) * valid
        variance = centred.square().sum(2, keepdim=True) / count
        norm = self.layer_norm
        return centred * torch.rsqrt(variance + norm.eps) * norm.weight[:, None] + norm.bias[:, None]


class FeatureExtractor(nn.Module):
    """The convolutions that turn a waveform into frames."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        sizes = zip((1, *config.conv_dim), config.conv_dim, config.conv_kernel, config.conv_stride, strict=False)
        self.conv_layers = nn.ModuleList(
            ConvLayer(inputs, outputs, kernel, stride, config.conv_bias, self._norm(config, index))
            for index, (inputs, outputs, kernel, stride) in enumerate(sizes)
        )
        for layer in self.conv_layers:
            nn.init.kaiming_normal_(layer.conv.weight)

    @staticmethod
    def _norm(config: EncoderConfig, index: int) -> nn.Module | None:
        channels = config.conv_dim[index]
        if config.feat_extract_norm != GROUP:
            return nn.LayerNorm(channels)
        return nn.GroupNorm(channels, channels) if index == 0 else None

    def forward(
        self,
        waveforms: torch.Tensor,
        lengths: torch.Tensor | None,
        kept: Sequence[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """(B, S) → (B, T, C); `lengths` (B,) in samples, None: nothing is padded; `kept` as in `Front`."""
        hidden, frames = waveforms[:, None], None
        if lengths is not None:
            first = self.conv_layers[0].conv
            frames = (lengths - first.kernel_size[0]) // first.stride[0] + 1
        for place, layer in enumerate(self.conv_layers):
            hidden = layer(hidden, frames, None if kept is None else kept[place])
        return hidden.transpose(1, 2)


class FeatureProjection(nn.Module):
    """From frames to the width of the layers. Log-mel energies stay as they are: their mean says how loud it is."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        width = config.conv_dim[-1]
        mel = config.front_end == MEL
        self.layer_norm = nn.Identity() if mel else nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.projection = nn.Linear(config.conv_dim[-1], config.hidden_size)
        self.dropout = Dropout(config.feat_proj_dropout)

    def forward(self, features: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """(B, T, C) → (B, T, D); `kept` (C,) are the channels that are left, None: all."""
        return self.dropout(self.projection(normalized(self.layer_norm, features, kept)))


class PositionalConvolution(nn.Module):
    """A wide grouped convolution whose weight is a direction times one length per tap (weight normalisation)."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.width, self.groups = config.num_conv_pos_embeddings, config.num_conv_pos_embedding_groups
        size, inputs = config.hidden_size, config.hidden_size // self.groups
        self.weight_v = nn.Parameter(torch.randn(size, inputs, self.width) * 2 / math.sqrt(self.width * size))
        self.weight_g = nn.Parameter(self.weight_v.detach().norm(dim=(0, 1), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, hidden: torch.Tensor, padded: torch.Tensor | None = None) -> torch.Tensor:
        """(B, T, D), zero in padded frames → (B, T, D)."""
        # torch's norm over two dimensions takes three times as long, half as long as the convolution itself.
        length = self.weight_v.square().sum((0, 1), keepdim=True).sqrt()
        weight = self.weight_v * (self.weight_g / length)
        with torch.autocast(hidden.device.type, enabled=False):  # grouped convolutions in bfloat16 crawl on a CPU
            positions = functional.conv1d(
                hidden.float().transpose(1, 2), weight, self.bias, padding=self.width // 2, groups=self.groups
            )
        if self.width % 2 == 0:
            positions = positions[:, :, :-1]
        return functional.gelu(positions).transpose(1, 2)


class StackedPositions(nn.Module):
    """data2vec's embedding of positions: grouped convolutions, each with a norm without weights and a GELU."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        size, self.width = config.hidden_size, config.conv_pos_kernel_size
        self.shape = (size,)  # of a norm, as a constant: an export wants it so
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "conv": nn.Conv1d(
                        size,
                        size,
                        self.width,
                        padding=self.width // 2,
                        groups=config.num_conv_pos_embedding_groups,
                    )
                }
            )
            for _ in range(config.num_conv_pos_embeddings)
        )

    def forward(self, hidden: torch.Tensor, padded: torch.Tensor | None = None) -> torch.Tensor:
        """(B, T, D) → (B, T, D); frames that are `padded` (B, T) stay zero, as behind the end of an utterance alone."""
        with torch.autocast(hidden.device.type, enabled=False):  # grouped convolutions in bfloat16 crawl on a CPU
            hidden = hidden.float()
            for layer in self.layers:
                hidden = layer["conv"](hidden.transpose(1, 2)).transpose(1, 2)
                if self.width % 2 == 0:
                    hidden = hidden[:, :-1]
                hidden = functional.gelu(functional.layer_norm(hidden, self.shape))
                if padded is not None:
                    hidden = hidden.masked_fill(padded[..., None], 0.0)
        return hidden


def positions(config: EncoderConfig) -> nn.Module:
    """What adds positions to hidden states."""
    if config.model_type == WHISPER:
        from secateur.models.upstream.window import WindowPositions

        return WindowPositions(config)
    return (StackedPositions if config.model_type == DATA2VEC else PositionalConvolution)(config)
