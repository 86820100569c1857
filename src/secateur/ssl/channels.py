"""Gates on the channels of an encoder's convolutional front end, and the smaller front end that they leave.

Channel c of convolution l, after its norm and GELU, is multiplied by a hard-concrete gate z_{l,c}; as a number in the
next layer's weights (`folded`), so that a gated front end is one with other weights. A closed channel takes part in
nothing: norms over channels (those of the large form and of the feature projection) are over the channels that are
left, in training and after compaction alike; the base form's norm is over time, channel by channel.

The front end's sparsity is a matter of its own, beside that of the Transformer's blocks (`secateur.ssl.gated`), whose
gates no channel is traded for: it holds few of the parameters, and most of the arithmetic that pruned blocks leave.
"""

import copy
from dataclasses import replace

import torch
from torch import nn

from secateur.core.errors import SecateurError
from secateur.models.surgery.compaction import keep_inputs, keep_slices
from secateur.models.upstream.config import GROUP, MEL, WHISPER, EncoderConfig
from secateur.models.upstream.convolutions import Front
from secateur.models.upstream.encoder import Encoder
from secateur.ssl.gates import deterministic, mean, open_probability, sample


class ChannelGates(nn.Module):
    """A hard-concrete gate on every channel of the front end, all convolutions in one vector (Σ C_l,).

    Args:
        straight_through, log_alpha, rate: as `secateur.ssl.gated.EncoderGates` has them.
    """

    def __init__(self, config: EncoderConfig, straight_through: bool, log_alpha: float, rate: float):
        super().__init__()
        if config.front_end == MEL or config.model_type == WHISPER:
            raise SecateurError(
                "conv_sparsity: the encoder reads log-mel energies, there are no convolutions of samples; set it to 0"
            )
        self.config, self.straight_through = config, straight_through
        self.log_alpha = nn.Parameter(torch.full((sum(config.conv_dim),), log_alpha))
        self.log_alpha.rate = rate

    def sample(self) -> torch.Tensor:
        """Gates drawn at random."""
        return sample(self.log_alpha, self.straight_through)

    def deterministic(self) -> torch.Tensor:
        """Gates at inference."""
        return deterministic(self.log_alpha)

    def expected_sparsity(self) -> torch.Tensor:
        """The expected share of the front end's parameters that is gone."""
        return sparsity(open_probability(self.log_alpha), self.config)

    @torch.no_grad()
    def settle(self, target: float) -> torch.Tensor:
        """The gates at inference, so many of them closed that the sparsity is as near to `target` as can be.

        Those of the smallest log α close, but for the largest of every convolution. A gate that is open here, and 0 at
        inference, has its mean E[z] as its value.
        """
        log_alpha = self.log_alpha.detach()
        last = torch.zeros_like(log_alpha, dtype=torch.bool)
        for part, keep in zip(split(log_alpha, self.config), split(last, self.config), strict=True):
            keep[part.argmax()] = True
        order = torch.sort(log_alpha.masked_fill(last, torch.inf), stable=True).indices
        most = len(log_alpha) - int(last.sum())

        def opened(closed: int) -> torch.Tensor:
            gates = torch.ones_like(log_alpha, dtype=torch.float64)
            gates[order[:closed]] = 0.0
            return gates

        def missing(closed: int) -> float:
            return float(sparsity(opened(closed), self.config)) - target

        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (low, middle - 1) if missing(middle) > 0 else (middle, high)
        chosen = min(range(low, min(low + 1, most) + 1), key=lambda closed: abs(missing(closed)))
        values = deterministic(log_alpha)
        values = torch.where(values > 0, values, mean(log_alpha).to(values.dtype))
        return values * opened(chosen).to(values.dtype)


def split(gates: torch.Tensor, config: EncoderConfig) -> tuple[torch.Tensor, ...]:
    """The gates of each convolution (C_l,)."""
    return gates.split(list(config.conv_dim))


def remaining(gates: torch.Tensor, config: EncoderConfig) -> torch.Tensor:
    """Parameters that are left of the convolutions, their norms and the feature projection with its norm.

    Of gates that are 0 or 1, exactly; of the open probabilities of independent gates, the expected number.
    """
    total, inputs = gates.new_zeros(()), gates.new_ones(())
    for place, (part, kernel) in enumerate(zip(split(gates, config), config.conv_kernel, strict=True)):
        normed = place == 0 or config.feat_extract_norm != GROUP
        channels = part.sum()
        total = total + channels * (inputs * kernel + config.conv_bias + 2 * normed)
        inputs = channels
    return total + inputs * (config.hidden_size + 2) + config.hidden_size


def sparsity(gates: torch.Tensor, config: EncoderConfig) -> torch.Tensor:
    """The share of the front end's parameters that is gone; see `remaining`."""
    return 1 - remaining(gates, config) / remaining(torch.ones_like(gates), config)


def folded(encoder: Encoder, gates: torch.Tensor) -> Front:
    """The front end of a dense encoder with the gates multiplied in; gradients flow to the weights and to the gates."""
    parts = split(gates, encoder.config)
    layers = encoder.feature_extractor.conv_layers
    extractor = {
        f"conv_layers.{place}.conv.weight": layer.conv.weight * before[None, :, None]
        for place, (before, layer) in enumerate(zip(parts, layers[1:], strict=False), 1)
    }
    projection = {"projection.weight": encoder.feature_projection.projection.weight * parts[-1]}
    return Front(extractor, projection, [part.detach() > 0 for part in parts])


@torch.no_grad()
def compact_front(encoder: Encoder, gates: torch.Tensor) -> Encoder:
    """An encoder without the channels whose gates are 0, which computes what `encoder` does with these gates.

    Raises SecateurError if a convolution has no channel left.
    """
    front, smaller = folded(encoder, gates), copy.deepcopy(encoder)
    for module, weights in (
        (smaller.feature_extractor, front.extractor),
        (smaller.feature_projection, front.projection),
    ):
        for name, weight in weights.items():
            module.get_parameter(name).copy_(weight)
    before = None
    for place, (layer, kept) in enumerate(zip(smaller.feature_extractor.conv_layers, front.kept, strict=True)):
        index = torch.nonzero(kept)[:, 0]
        if not len(index):
            raise SecateurError(f"convolution {place + 1}: no channel is left; lower conv_sparsity")
        conv, norm = layer.conv, layer.layer_norm
        keep_slices(conv, "weight", index, 0)
        if conv.bias is not None:
            keep_slices(conv, "bias", index, 0)
        if before is not None:
            keep_slices(conv, "weight", before, 1)
        conv.out_channels, conv.in_channels = len(index), 1 if before is None else len(before)
        if norm is not None:
            _keep_norm(norm, index)
        before = index
    projection = smaller.feature_projection
    _keep_norm(projection.layer_norm, before)
    keep_inputs(projection.projection, before)
    smaller.config = replace(encoder.config, conv_dim=tuple(int(kept.sum()) for kept in front.kept))
    return smaller


def front_parameters(encoder: Encoder) -> int:
    """Parameters of the convolutions and the feature projection of an encoder; see `remaining`."""
    modules = (encoder.feature_extractor, encoder.feature_projection)
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def _keep_norm(norm: nn.GroupNorm | nn.LayerNorm, index: torch.Tensor) -> None:
    for name in ("weight", "bias"):
        keep_slices(norm, name, index, 0)
    if isinstance(norm, nn.LayerNorm):
        norm.normalized_shape = (len(index),)
    else:
        norm.num_groups = norm.num_channels = len(index)
