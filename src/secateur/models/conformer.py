"""Faster forms of the parts of ESPnet's Conformer, with the same parameters under the same names, and the same outputs.

On a CPU, a step of training with small models spends more time on passes over memory than on arithmetic: see
`docs/training.md`, and `benchmarks/training.py`, which compares with ESPnet's own classes.
"""

import math

import torch
from espnet.nets.pytorch_backend.conformer.convolution import ConvolutionModule
from espnet.nets.pytorch_backend.transformer.attention import RelPositionMultiHeadedAttention
from espnet2.asr.encoder.conformer_encoder import ConformerEncoder


class RelativeAttention(RelPositionMultiHeadedAttention):
    """Self-attention with relative positions (Dai et al. 2019, section 3.3), with fewer passes over the scores.

    Queries are scaled instead of scores, the shift of the position scores is a view, and padding is masked once.
    """

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        pos_emb: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """Attention (B, T, D) of queries, keys and values (B, T, D).

        Args: positions (1, 2T − 1, D), from the furthest ahead to the furthest behind; mask (B, 1, T), True in speech.
        """
        queries, keys, values = self.forward_qkv(query, key, value)
        queries, scale = queries.transpose(1, 2), 1 / math.sqrt(self.d_k)
        positions = self.linear_pos(pos_emb).view(-1, self.h, self.d_k).permute(1, 2, 0)
        by_content = torch.matmul(((queries + self.pos_bias_u) * scale).transpose(1, 2), keys.transpose(-2, -1))
        by_position = torch.matmul(((queries + self.pos_bias_v) * scale).transpose(1, 2), positions)
        scores = by_content + self.rel_shift(by_position)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], torch.finfo(scores.dtype).min)
        weights = self.dropout(torch.softmax(scores, dim=-1))
        context = torch.matmul(weights.to(values.dtype), values)
        return self.linear_out(context.transpose(1, 2).flatten(-2))

    def rel_shift(self, x: torch.Tensor) -> torch.Tensor:
        """Scores by distance (B, h, T, 2T − 1) → by key (B, h, T, T): that of key j for query i is at T − 1 − i + j."""
        if torch.jit.is_tracing():  # for ONNX, which knows no strides
            return super().rel_shift(x)
        batch, heads, length, width = x.shape
        strides = heads * length * width, length * width, width - 1, 1
        return x.contiguous().as_strided((batch, heads, length, length), strides, length - 1)


class FrameNorm(torch.nn.LayerNorm):
    """Layer normalisation of every frame of (B, T, D); on a CPU its output has the precision of its input.

    It stands in for the batch normalisation of ESPnet's Conformer, which makes an utterance depend on the others in its
    batch and on their padding, and a step on how its batch is split.
    """

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if hidden.device.type != "cpu":  # CUDA's kernel takes no mixed precision
            return super().forward(hidden)
        with torch.autocast("cpu", enabled=False):  # which would make all up to the next product float32
            return super().forward(hidden)


class DepthwiseConv(torch.nn.Conv1d):
    """A depthwise convolution (B, D, T) with frames, not channels, outermost in memory: two to three times as fast."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        images = input.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        padding = (0, *self.padding)
        return torch.nn.functional.conv2d(
            images, self.weight.unsqueeze(2), self.bias, padding=padding, groups=self.groups
        ).squeeze(2)


class PointwiseConv(torch.nn.Conv1d):
    """A convolution of width 1, of (B, T, D) instead of (B, D, T)."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(input, self.weight.squeeze(-1), self.bias)


class Convolution(ConvolutionModule):
    """The convolution module of a Conformer (Gulati et al. 2020) with a `FrameNorm`, frames outermost throughout."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, D) → (B, T, D)."""
        hidden = torch.nn.functional.glu(self.pointwise_conv1(x), dim=-1)
        hidden = self.depthwise_conv(hidden.transpose(1, 2)).transpose(1, 2)
        return self.pointwise_conv2(self.activation(self.norm(hidden)))


def use_fast_parts(encoder: ConformerEncoder, dim: int) -> None:
    """Let the layers of a Conformer of width `dim` compute by the classes above, in place; their parameters stay."""
    for layer in encoder.encoders:
        layer.self_attn.__class__ = RelativeAttention
        layer.conv_module.__class__ = Convolution
        layer.conv_module.depthwise_conv.__class__ = DepthwiseConv
        layer.conv_module.pointwise_conv1.__class__ = layer.conv_module.pointwise_conv2.__class__ = PointwiseConv
        layer.conv_module.norm = FrameNorm(dim)
        for module in (layer.feed_forward_macaron, layer.feed_forward, layer.conv_module):
            module.activation = torch.nn.SiLU()  # ESPnet's takes two passes
