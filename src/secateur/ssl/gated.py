"""Gates on an encoder's Transformer layers (S4, section 3.1), what they leave of it, and the encoder that is left.

    MHA(X) = z_mha · (concat_i(softmax((X W_Q^i + b_Q^i) diag(z_qk^i) (X W_K^i + b_K^i)ᵀ/√d + P_i)
                               · (X W_V^i + b_V^i) diag(z_vo^i)) W_O + b_O)
    FFN(X) = z_ffn · (gelu(X W_U + b_U) diag(z_int) W_D + b_D)

P_i is WavLM's gated position bias, which no gate touches. A gate scales a weight's rows or columns, so that a gated
encoder is an encoder with other weights (`fold`), in training and when it is compacted alike. `heads` are gates on
whole heads: with them in place of `qk` and `vo`, heads are the smallest units of attention (S4's "w/o FAHP").
"""

import copy
from collections.abc import Collection, Mapping
from dataclasses import replace

import torch
from torch import nn

from secateur.core.errors import SecateurError
from secateur.models.surgery.compaction import keep_inputs, keep_outputs, keep_slices, keep_units, remove_block
from secateur.models.upstream.config import EncoderConfig, LayerShape
from secateur.models.upstream.encoder import Encoder
from secateur.ssl.costs import Costs, parameters
from secateur.ssl.gates import deterministic, mean, open_probability, polarisation, sample
from secateur.ssl.options import KINDS

Gates = Mapping[str, torch.Tensor]
"""Values of gates by kind: `mha` (L,), `ffn` (L,), `heads` (L, H), `qk` and `vo` (L, H, d_head), `int` (L, F)."""

CLOSE_ENOUGH = 0.0005
"""How far from its target a sparsity may stay when the next gate would overshoot it."""


def gate_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """The shape of the gates of every kind on a dense encoder."""
    layers, heads, width = config.num_hidden_layers, config.num_attention_heads, config.head_dim
    units = (layers, heads, width)
    shapes = [(layers,), (layers,), (layers, heads), units, units, (layers, config.intermediate_size)]
    return dict(zip(KINDS, shapes, strict=True))


class EncoderGates(nn.Module):
    """Hard-concrete gates on a dense encoder.

    Args:
        kinds: those of KINDS that there are; the others are open for good.
        straight_through: whether gradients pass where a gate is saturated.
        log_alpha: where gates start: one number, or one for each kind.
        rate: learning rate of the gates, in times that of the weights.
        costs: what a sparsity is a share of; None: parameters. They are saved with a training, since those that were
            measured would be others the next time.
    """

    def __init__(
        self,
        config: EncoderConfig,
        kinds: Collection[str],
        straight_through: bool,
        log_alpha: float | Mapping[str, float],
        rate: float,
        costs: Costs | None = None,
    ):
        super().__init__()
        if config.layers is not None:
            raise SecateurError("gates: the encoder is pruned already; put them on a dense one")
        unknown = set(kinds) - set(KINDS)
        if unknown or not kinds:
            raise SecateurError(f"gates: {sorted(kinds)}; choose one or more of {', '.join(KINDS)}")
        self.config, self.straight_through = config, straight_through
        shapes = gate_shapes(config)
        starts = log_alpha if isinstance(log_alpha, Mapping) else dict.fromkeys(KINDS, log_alpha)
        self.log_alpha = nn.ParameterDict(
            {kind: nn.Parameter(torch.full(shapes[kind], float(starts[kind]))) for kind in KINDS if kind in kinds}
        )
        self.register_buffer("coefficients", torch.tensor(costs or parameters(config), dtype=torch.float32))
        for parameter in self.log_alpha.values():
            parameter.rate = rate

    def sample(self) -> dict[str, torch.Tensor]:
        """Gates drawn at random, all kinds together in one pass."""
        values = sample(self._flat(), self.straight_through)
        return self._opened(self._split(values))

    def deterministic(self) -> dict[str, torch.Tensor]:
        """Gates at inference."""
        return self._opened(self._split(deterministic(self._flat())))

    def probabilities(self) -> dict[str, torch.Tensor]:
        """P(z ≠ 0) of every gate."""
        return self._opened(self._split(open_probability(self._flat())))

    @property
    def costs(self) -> Costs:
        """What a sparsity is a share of."""
        return Costs(*self.coefficients.unbind())

    def expected_sparsity(self) -> torch.Tensor:
        """p̂: the expected share of the cost that is gone, of parameters if nothing else was asked for."""
        return sparsity(self.probabilities(), self.config, self.costs)

    def sparsity_of(self, gates: Gates) -> float:
        """The share of the cost that is gone where these gates are 0."""
        opened = {kind: (value > 0).double() for kind, value in gates.items()}
        return float(sparsity(opened, self.config, self.costs, padded=True))

    def polarisation(self) -> float:
        """The expected share of gates that are 0 or 1 when they are drawn."""
        return float(polarisation(self._flat().detach()).mean())

    @torch.no_grad()
    def settle(self, target: float) -> dict[str, torch.Tensor]:
        """The gates at inference, as many of them closed as `target`, the wanted sparsity, asks for.

        Where the gates that are 0 at inference leave too much, more close in the order of their log α, smallest first;
        where too much is gone, gates open again, largest log α first. What is searched for, by bisection, is one
        threshold for the gates of all kinds. A gate that alone would overshoot the target (a whole block) is passed
        over, and the search goes on among the rest; if that leaves the sparsity further from the target than one of
        the gates passed over would, the one that comes nearest follows. A gate that opens again has its mean E[z] as
        its value.
        """
        log_alpha = self._flat()
        values = deterministic(log_alpha)
        opened = values > 0

        def gone() -> float:
            return float(sparsity(self._opened(self._split(opened.double())), self.config, self.costs, padded=True))

        closing = gone() < target
        candidates = torch.nonzero(opened == closing)[:, 0]
        order = torch.sort(log_alpha[candidates], descending=not closing, stable=True).indices
        candidates = candidates[order].tolist()

        def reached(chosen: list[int]) -> float:
            opened[chosen] = not closing
            then = gone()
            opened[chosen] = closing
            return then

        def overshoots(chosen: list[int]) -> bool:
            return reached(chosen) > target if closing else reached(chosen) < target

        passed = []
        while candidates and abs(gone() - target) > CLOSE_ENOUGH:
            low, high = 0, len(candidates)  # the first `low` never overshoot
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (low, middle - 1) if overshoots(candidates[:middle]) else (middle, high)
            opened[candidates[:low]] = not closing
            passed += candidates[low : low + 1]
            candidates = candidates[low + 1 :]
        if passed and abs(gone() - target) > CLOSE_ENOUGH:
            nearest = min(passed, key=lambda gate: abs(reached([gate]) - target))
            if abs(reached([nearest]) - target) < abs(gone() - target):
                opened[nearest] = not closing
        values = torch.where(opened, torch.where(values > 0, values, mean(log_alpha).to(values.dtype)), 0.0)
        return self._opened(self._split(values))

    def _flat(self) -> torch.Tensor:
        return torch.cat([parameter.flatten() for parameter in self.log_alpha.values()])

    def _split(self, values: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = values.split([parameter.numel() for parameter in self.log_alpha.values()])
        return {
            kind: part.view_as(parameter) for (kind, parameter), part in zip(self.log_alpha.items(), parts, strict=True)
        }

    def _opened(self, gates: Gates) -> dict[str, torch.Tensor]:
        return open_gates(self.config, next(iter(gates.values()))) | dict(gates)


def open_gates(config: EncoderConfig, like: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """Gates that are all open, of the dtype and on the device of `like`."""
    like = torch.ones(()) if like is None else like
    return {kind: like.new_ones(()).expand(shape) for kind, shape in gate_shapes(config).items()}


def remaining(gates: Gates, config: EncoderConfig, costs: Costs | None = None, padded: bool = False) -> torch.Tensor:
    """What is left of the cost of the attention and feed-forward blocks, parameters if nothing else is given, (L,).

    Of gates that are 0 or 1 this is the number that the compacted encoder has. It is linear in every gate, so of the
    open probabilities of independent gates it is the expected number. The prunable parameters are all those of the two
    blocks, biases and WavLM's gate of the position bias included; norms, the embedding of positions, the position
    convolution and the feature extractor are not prunable.

    With `padded`, of gates that are 0 or 1, products of heads are filled up to the widest head, as they are computed.
    """
    costs = costs or parameters(config)
    values = gates["vo"].sum(2)  # (L, H)
    # A head whose values are all gone is gone, and its queries and keys with it.
    alive = gates["heads"] * (1 - (1 - gates["vo"]).prod(2))
    queries, values = alive * gates["qk"].sum(2), gates["heads"] * values
    heads = alive * costs.head + costs.qk * queries + costs.vo * values
    if padded:
        widest = queries.amax(1) + values.amax(1)
        products = alive.sum(1) * widest
    else:
        products = (queries + values).sum(1)
    attention = gates["mha"] * (heads.sum(1) + costs.product * products + costs.attention)
    return attention + gates["ffn"] * (gates["int"].sum(1) * costs.unit + costs.feed_forward)


def sparsity(gates: Gates, config: EncoderConfig, costs: Costs | None = None, padded: bool = False) -> torch.Tensor:
    """The share of the cost that is gone, of the prunable parameters if nothing else is given; see `remaining`."""
    whole = remaining(open_gates(config, gates["mha"]), config, costs, padded).sum()
    return 1 - remaining(gates, config, costs, padded).sum() / whole


def block_parameters(encoder: Encoder) -> int:
    """Parameters in the attention and feed-forward blocks of an encoder: those that are prunable, see `remaining`."""
    blocks = [block for layer in encoder.encoder.layers for block in (layer.attention, layer.feed_forward)]
    return sum(parameter.numel() for block in blocks for parameter in block.parameters())


def fold(encoder: Encoder, gates: Gates) -> dict[str, torch.Tensor]:
    """The weights of `encoder.encoder` with the gates multiplied in, by name; those that no gate touches are left out.

    They are what `Encoder.contextualize` takes as `weights`; gradients flow to the weights and to the gates.
    """
    folded = {}
    for index, layer in enumerate(encoder.encoder.layers):
        attention, feed_forward = layer.attention, layer.feed_forward
        queries = gates["qk"][index].flatten()
        values = (gates["vo"][index] * gates["heads"][index][:, None]).flatten()
        whole, units, block = gates["mha"][index], gates["int"][index], gates["ffn"][index]
        name = f"layers.{index}."
        folded |= {
            f"{name}attention.q_proj.weight": attention.q_proj.weight * queries[:, None],
            f"{name}attention.q_proj.bias": attention.q_proj.bias * queries,
            f"{name}attention.v_proj.weight": attention.v_proj.weight * values[:, None],
            f"{name}attention.v_proj.bias": attention.v_proj.bias * values,
            f"{name}attention.out_proj.weight": attention.out_proj.weight * whole,
            f"{name}attention.out_proj.bias": attention.out_proj.bias * whole,
            f"{name}feed_forward.output_dense.weight": feed_forward.output_dense.weight * (units * block),
            f"{name}feed_forward.output_dense.bias": feed_forward.output_dense.bias * block,
        }
    return folded


@torch.no_grad()
def compact(encoder: Encoder, gates: Gates) -> Encoder:
    """A physically smaller encoder that computes what `encoder` does with these gates; `encoder` stays as it is.

    Queries and keys, values, heads and units whose gates are 0 are removed, and blocks whose gate is 0. A block of
    which no head or unit is left, but which is not closed itself, still adds its output bias.
    """
    smaller = copy.deepcopy(encoder)
    for name, weight in fold(encoder, gates).items():
        smaller.encoder.get_parameter(name).copy_(weight)
    shapes = []
    for index, layer in enumerate(smaller.encoder.layers):
        heads: tuple[int, ...] | None = None
        qk, vo, ffn = [], [], None
        if gates["mha"][index] > 0:
            queries = gates["qk"][index] > 0  # (H, d_head)
            values = (gates["vo"][index] > 0) & (gates["heads"][index] > 0)[:, None]
            heads = tuple(torch.nonzero(values.any(1))[:, 0].tolist())
            queries &= values.any(1, keepdim=True)
            qk, vo = ([int(part[head].sum()) for head in heads] for part in (queries, values))
            attention = layer.attention
            for linear, kept in ((attention.q_proj, queries), (attention.k_proj, queries), (attention.v_proj, values)):
                keep_outputs(linear, _numbers(kept), or_none=True)
            keep_inputs(attention.out_proj, _numbers(values), or_none=True)
            if attention.gated:
                keep_slices(attention, "gru_rel_pos_const", torch.tensor(heads, dtype=torch.long), 1, or_none=True)
            attention.set_heads(heads, qk, vo)
        else:
            remove_block(layer, "attention", "layer_norm" if layer.normalize_before else None)
        if gates["ffn"][index] > 0:
            units = _numbers(gates["int"][index] > 0)
            keep_units(layer.feed_forward.intermediate_dense, layer.feed_forward.output_dense, units, or_none=True)
            ffn = len(units)
        else:
            remove_block(layer, "feed_forward", "final_layer_norm" if layer.normalize_before else None)
        shapes.append(LayerShape(heads, tuple(qk), tuple(vo), ffn))
    smaller.config = replace(encoder.config, layers=tuple(shapes))
    return smaller


def _numbers(kept: torch.Tensor) -> torch.Tensor:
    return torch.nonzero(kept.flatten())[:, 0]
