"""The Emformer, a Transformer encoder that streams (Shi et al. 2021, ICASSP, "Emformer: efficient memory Transformer
based acoustic model for low latency streaming speech recognition").

The input is cut into segments of S frames. A segment sees itself, R frames of look-ahead (its *right context*), the L
frames before it (its *left context*: keys and values that its predecessors have computed already), and a *memory bank*:
one vector for each of the M segments before it. Each layer works as in section 3 of the paper:

- Look-ahead frames are copied, one copy per segment, and processed with their segment. So a layer's look-ahead does not
  add to that of the layer below: the whole encoder looks R frames ahead.
- Keys and values are projected once per frame; the left context reuses them.
- A segment's memory vector is the output of attention whose query is the mean of the segment's frames, and which does
  not see the memory bank, through tanh. It serves the next layer; the first layer's is the mean of the input frames.

All segments of an utterance form one batch of blocks of S + R frames, so training is linear in the utterance's length,
and decoding chunk by chunk is the same computation with one block at a time and the left context out of a cache.

Two keys go beyond the paper; without them a layer is the paper's, and knows no order within what it sees:
- `positions`: a learned bias of attention per head and distance (as in Raffel et al. 2020, without their bins).
- `convolution`: the Conformer's module after attention (Gulati et al. 2020), looking back only, over so many frames.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from espnet.nets.pytorch_backend.transformer.positionwise_feed_forward import PositionwiseFeedForward
from espnet2.asr.encoder.abs_encoder import AbsEncoder

from secateur.models.no_block import NoBlock


@dataclass(frozen=True)
class LayerState:
    """What a layer keeps of the segments so far.

    Attributes: keys and values (B, L, h·d_k), memory vectors (B, M, D), the convolution's input (B, K − 1, D) or None.
    """

    key: torch.Tensor
    value: torch.Tensor
    memory: torch.Tensor
    convolution: torch.Tensor | None


@dataclass(frozen=True)
class State:
    """What the encoder keeps between chunks: the number of segments so far, and each layer's state."""

    segments: int
    layers: list[LayerState]


class Attention(torch.nn.Module):
    """Multi-head attention with the attributes of ESPnet's `MultiHeadedAttention`: linear_{q,k,v,out}, h, d_k.

    The number of heads may change after construction (`h` and the sizes of the linear layers, together).
    """

    def __init__(self, heads: int, dim: int, dropout: float, distances: int):
        super().__init__()
        self.h, self.d_k = heads, dim // heads
        self.linear_q = torch.nn.Linear(dim, dim)
        self.linear_k = torch.nn.Linear(dim, dim)
        self.linear_v = torch.nn.Linear(dim, dim)
        self.linear_out = torch.nn.Linear(dim, dim)
        self.distance_bias = torch.nn.Parameter(torch.zeros(heads, distances)) if distances else None
        self.dropout = dropout

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor,
        distances: torch.Tensor,
    ) -> torch.Tensor:
        """Attend within blocks.

        Args:
            query: (B, N, Q, D), before its projection.
            key, value: (B, N, K, h·d_k), after their projections.
            mask: 0 or −inf, added to the scores (B, N, 1, Q, K).
            distances: index into the bias of each pair of the last K' keys and the first Q' queries (Q', K').

        Returns the output (B, N, Q, D) after its projection.
        """
        batch, blocks, queries, _ = query.shape

        def split(hidden: torch.Tensor) -> torch.Tensor:
            return hidden.reshape(batch * blocks, -1, self.h, self.d_k).transpose(1, 2)

        query, key, value = split(self.linear_q(query)), split(key), split(value)
        mask = mask.flatten(0, 1).to(query.dtype)
        if self.distance_bias is not None:
            rows, columns = distances.shape
            bias = self.distance_bias[:, distances].to(query.dtype)
            mask = mask + torch.nn.functional.pad(bias, (key.shape[2] - columns, 0, 0, queries - rows))
        # For blocks this small, plain products train a third faster than the fused kernel.
        scores = query @ key.transpose(2, 3) / math.sqrt(self.d_k) + mask
        hidden = torch.dropout(scores.softmax(dim=-1).to(value.dtype), self.dropout, self.training) @ value
        return self.linear_out(hidden.transpose(1, 2).reshape(batch, blocks, queries, -1))


class Convolution(torch.nn.Module):
    """The Conformer's convolution module over the last `kernel` frames, with LayerNorm for its batch normalisation."""

    def __init__(self, dim: int, kernel: int):
        super().__init__()
        self.context = kernel - 1
        self.norm_input = torch.nn.LayerNorm(dim)
        self.pointwise_in = torch.nn.Linear(dim, 2 * dim)
        self.depthwise = torch.nn.Parameter(torch.empty(kernel, dim).uniform_(-(kernel**-0.5), kernel**-0.5))
        self.norm = torch.nn.LayerNorm(dim)
        self.pointwise_out = torch.nn.Linear(dim, dim)

    def forward(
        self, blocks: torch.Tensor, segment: int, before: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Convolve blocks (B, N, S + R, D), given S and the K − 1 frames before them (B, K − 1, D), None for zeros.

        Returns the output (B, N, S + R, D), and what is `before` the next blocks.
        """
        hidden = torch.nn.functional.glu(self.pointwise_in(self.norm_input(blocks)), dim=-1)
        if before is None:
            before = hidden.new_zeros(len(blocks), self.context, hidden.shape[-1])
        frames = torch.cat([before, hidden[:, :, :segment].flatten(1, 2)], dim=1)
        hidden = torch.cat([_before(frames, self.context, segment), hidden], dim=2)
        length = blocks.shape[2]
        # A sum of products: grouped convolutions in bfloat16 are very slow on CPUs.
        hidden = sum(hidden[:, :, place : place + length] * weight for place, weight in enumerate(self.depthwise))
        return self.pointwise_out(torch.nn.functional.silu(self.norm(hidden))), _last(frames, self.context)


class EmformerLayer(torch.nn.Module):
    """One layer, normalised before attention, before the feed-forward network, and at its end."""

    def __init__(self, options: dict[str, Any], number: int):
        super().__init__()
        dim, dropout = options["dim"], options["dropout"]
        self.segment, self.left, self.memory = options["segment"], options["left_context"], options["memory"]
        reach = self.left + self.segment + options["right_context"]
        distances = reach + self.segment + options["right_context"] - 1 if options["positions"] else 0
        self.attention = Attention(options["heads"], dim, options["attention_dropout"], distances)
        self.feed_forward = PositionwiseFeedForward(dim, options["ffn"], dropout)
        self.norm_attention = torch.nn.LayerNorm(dim)
        self.norm_feed_forward = torch.nn.LayerNorm(dim)
        self.norm_output = torch.nn.LayerNorm(dim)
        self.convolution = Convolution(dim, options["convolution"]) if options["convolution"] else None
        self.dropout = torch.nn.Dropout(dropout)
        # Deep stacks train more steadily when the upper layers' attention starts smaller.
        for linear in (self.attention.linear_q, self.attention.linear_k, self.attention.linear_v):
            torch.nn.init.xavier_uniform_(linear.weight, gain=number**-0.5)

    def forward(
        self,
        blocks: torch.Tensor,
        memory: torch.Tensor,
        mask: torch.Tensor,
        distances: torch.Tensor,
        state: LayerState | None,
    ) -> tuple[torch.Tensor, torch.Tensor, LayerState]:
        """Process N consecutive segments.

        Args:
            blocks: segments with their right contexts (B, N, S + R, D).
            memory: memory vectors of these segments from the layer below (B, N, D).
            mask, distances: as for `Attention`, keys being memory, left context and block.
            state: that of the segments before, None at the beginning.

        Returns the blocks, the memory vectors of these segments for the layer above, and the new state.
        """
        output, memory, cache = self._attend(blocks, memory, mask, distances, state)
        blocks = blocks + self.dropout(output)
        convolved = None
        if self.convolution is not None:
            before = state.convolution if state else None
            output, convolved = self.convolution(blocks, self.segment, before)
            blocks = blocks + self.dropout(output)
        blocks = blocks + self.dropout(self.feed_forward(self.norm_feed_forward(blocks)))
        return self.norm_output(blocks), memory, LayerState(*cache, convolved)

    def _attend(
        self,
        blocks: torch.Tensor,
        memory: torch.Tensor,
        mask: torch.Tensor,
        distances: torch.Tensor,
        state: LayerState | None,
    ) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Attention's output (B, N, S + R, D), new memory vectors, and what is kept: keys, values, memory vectors."""
        if isinstance(self.attention, NoBlock):  # memory vectors are what attention puts out: nothing
            nothing = blocks.new_zeros(len(blocks), 0, 0)
            return self.attention(blocks), torch.zeros_like(memory), (nothing, nothing, nothing)
        hidden = self.norm_attention(blocks)
        query = hidden
        if self.memory:
            query = torch.cat([hidden, hidden[:, :, : self.segment].mean(dim=2, keepdim=True)], dim=2)
        key, value = self.attention.linear_k(hidden), self.attention.linear_v(hidden)
        if state is None:
            batch = len(blocks)
            state = LayerState(
                key.new_zeros(batch, self.left, key.shape[-1]),
                value.new_zeros(batch, self.left, value.shape[-1]),
                memory.new_zeros(batch, self.memory, memory.shape[-1]),
                None,
            )
        bank = torch.cat([state.memory, memory], dim=1)
        keys = torch.cat([state.key, key[:, :, : self.segment].flatten(1, 2)], dim=1)
        values = torch.cat([state.value, value[:, :, : self.segment].flatten(1, 2)], dim=1)
        everything_key = [_before(keys, self.left, self.segment), key]
        everything_value = [_before(values, self.left, self.segment), value]
        if self.memory:
            everything_key.insert(0, _before(self.attention.linear_k(bank), self.memory, 1))
            everything_value.insert(0, _before(self.attention.linear_v(bank), self.memory, 1))
        output = self.attention(
            query, torch.cat(everything_key, dim=2), torch.cat(everything_value, dim=2), mask, distances
        )
        if self.memory:
            memory = torch.tanh(output[:, :, -1])
            output = output[:, :, :-1]
        return output, memory, (_last(keys, self.left), _last(values, self.left), _last(bank, self.memory))


class Emformer(AbsEncoder):
    """The encoder: a linear layer, then Emformer layers. Frames in, as many frames out.

    Args:
        input_size: width of a (stacked) input frame.
        options: layers, dim, heads, ffn, dropout, attention_dropout, segment, left_context, right_context (all three in
            input frames), memory (vectors; 0 for none), positions (true for a bias by distance), convolution (frames; 0
            for none).
    """

    def __init__(self, input_size: int, options: dict[str, Any]):
        super().__init__()
        self.segment, self.left = options["segment"], options["left_context"]
        self.right, self.memory = options["right_context"], options["memory"]
        self.dim = options["dim"]
        self.embed = torch.nn.Sequential(
            torch.nn.Linear(input_size, self.dim), torch.nn.LayerNorm(self.dim), torch.nn.Dropout(options["dropout"])
        )
        self.encoders = torch.nn.ModuleList(
            EmformerLayer(options, number) for number in range(1, options["layers"] + 1)
        )
        query = torch.arange(self.segment + self.right)[:, None]
        key = torch.arange(-self.left, self.segment + self.right)[None, :]
        self.register_buffer("distances", key - query + self.left + self.segment + self.right - 1, persistent=False)

    def output_size(self) -> int:
        return self.dim

    @property
    def latency(self) -> int:
        """Frames that must be there before the first of a segment can be put out: the segment and its look-ahead."""
        return self.segment + self.right

    def forward(
        self, xs_pad: torch.Tensor, ilens: torch.Tensor, prev_states: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Encode whole utterances (B, T, F) of lengths `ilens` (B,): (B, T, D) and the lengths.

        At an utterance's end the last segment may be shorter, and look-ahead is what there is.
        """
        frames = int(ilens.max())
        count = -(-frames // self.segment)
        # The padding stands for a last right context too.
        hidden = self.embed(xs_pad[:, :frames])
        hidden = torch.nn.functional.pad(hidden, (0, 0, 0, count * self.segment + self.right - frames))
        blocks = hidden.unfold(1, self.segment + self.right, self.segment).transpose(2, 3)
        position = torch.arange(count * self.segment + self.right, device=xs_pad.device)
        position = position.unfold(0, self.segment + self.right, self.segment)
        blocks, _ = self._layers(blocks, position < ilens.to(xs_pad.device)[:, None, None], None)
        return blocks.flatten(1, 2)[:, :frames], ilens, None

    def infer(
        self, chunk: torch.Tensor, lengths: torch.Tensor, state: State | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, State]:
        """Encode the next segment of each utterance.

        Args:
            chunk: the segment and its look-ahead (B, S + R, F); the next chunk begins S frames later.
            lengths: how many of its frames there are (B,); fewer than S + R only towards an utterance's end.
            state: what the call before returned, None for the first.

        Returns the segment's output (B, S, D), the lengths of that, and the state for the next call.
        """
        hidden = self.embed(chunk)[:, None]
        valid = torch.arange(chunk.shape[1], device=chunk.device) < lengths.to(chunk.device)[:, None, None]
        blocks, state = self._layers(hidden, valid, state)
        return blocks[:, 0], lengths.clamp(max=self.segment), state

    def _layers(self, blocks: torch.Tensor, valid: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """Run all layers over blocks (B, N, S + R, D); returns the segments (B, N, S, D) and the state after them."""
        first = state.segments if state else 0
        mask = self._mask(valid, first)
        # Padding spoils only the mean of an utterance's last segment, which no other segment sees.
        memory = blocks[:, :, : self.segment].mean(dim=2)
        states = []
        for number, layer in enumerate(self.encoders):
            before = state.layers[number] if state else None
            blocks, memory, after = layer(blocks, memory, mask, self.distances, before)
            states.append(after)
        return blocks[:, :, : self.segment], State(first + blocks.shape[1], states)

    def _mask(self, valid: torch.Tensor, first: int) -> torch.Tensor:
        """What attention adds to its scores: 0 where a query sees a key, else −inf; (B, N, 1, Q, K).

        Queries: the block, then (with a memory bank) the summary. Keys: memory, left context, block. `first` is the
        number of segments before these.
        """
        batch, count, _ = valid.shape
        segment = torch.arange(first, first + count, device=valid.device)[:, None]
        bank = segment - torch.arange(self.memory, 0, -1, device=valid.device) >= 0
        left = segment * self.segment - torch.arange(self.left, 0, -1, device=valid.device) >= 0
        seen = torch.cat([torch.cat([bank, left], dim=1).expand(batch, -1, -1), valid], dim=2)[:, :, None]
        if self.memory:
            summary = seen.clone()
            summary[..., : self.memory] = False
            seen = torch.cat([seen.expand(-1, -1, valid.shape[2], -1), summary], dim=2)
        # A block that is nothing but padding may see all of it: its output is not used, but must not be NaN.
        seen = seen | ~seen.any(dim=-1, keepdim=True)
        return torch.zeros(seen.shape, device=valid.device).masked_fill(~seen, float("-inf"))[:, :, None]


def _before(sequence: torch.Tensor, size: int, step: int) -> torch.Tensor:
    """The `size` elements before each of N segments of `step` elements: (B, size + N·step, D) → (B, N, size, D)."""
    if torch.jit.is_tracing():  # of one segment, for ONNX, which cannot unfold what was joined
        return sequence[:, None, :size]
    return sequence.unfold(1, size, step)[:, :-1].transpose(2, 3)


def _last(sequence: torch.Tensor, size: int) -> torch.Tensor:
    """The last `size` elements of (B, T, D); `size` may be 0."""
    return sequence[:, sequence.shape[1] - size :]
