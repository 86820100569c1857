"""Structured pruning of an encoder at once, by magnitude: a control for learned gates."""

import torch

from secateur.models.upstream.encoder import Encoder
from secateur.ssl.gated import open_gates, sparsity


@torch.no_grad()
def magnitude_gates(encoder: Encoder, target: float) -> dict[str, torch.Tensor]:
    """Gates (0 or 1) that close the smallest units of a dense encoder, so that the sparsity is as near as can be below
    `target`.

    A unit's magnitude is the Frobenius norm of what it contributes: of w_q w_kᵀ to a head's scores, of w_v w_oᵀ to its
    output, of w_u w_dᵀ to a feed-forward block, biases left aside. The three are in different units, so of each kind
    the same share is closed, ranked over all layers; ties go by layer and number.
    """
    config = encoder.config
    products: dict[str, list[torch.Tensor]] = {"qk": [], "vo": [], "int": []}
    for layer in encoder.encoder.layers:
        attention, feed_forward = layer.attention, layer.feed_forward
        products["qk"].append(attention.q_proj.weight.norm(dim=1) * attention.k_proj.weight.norm(dim=1))
        products["vo"].append(attention.v_proj.weight.norm(dim=1) * attention.out_proj.weight.norm(dim=0))
        up, down = feed_forward.intermediate_dense, feed_forward.output_dense
        products["int"].append(up.weight.norm(dim=1) * down.weight.norm(dim=0))
    whole = open_gates(config, torch.ones((), dtype=torch.float64))
    orders = {kind: torch.cat(found).sort(stable=True).indices for kind, found in products.items()}
    most = max(map(len, orders.values()))

    def closed(step: int) -> dict[str, torch.Tensor]:
        """Gates with `step` / `most` of the units of each kind closed."""
        gates = dict(whole)
        for kind, order in orders.items():
            flat = torch.ones(len(order), dtype=torch.float64)
            flat[order[: step * len(order) // most].cpu()] = 0.0
            gates[kind] = flat.view(whole[kind].shape)
        return gates

    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (low, middle - 1) if sparsity(closed(middle), config) > target else (middle, high)
    device = encoder.masked_spec_embed.device
    return {kind: gates.float().to(device) for kind, gates in closed(low).items()}
