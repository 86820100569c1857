"""AdamW's moments of weights that masks remove."""

from collections.abc import Mapping

import torch

from secateur.pruning.engines.mask import Mask

MOMENTS = ("exp_avg", "exp_avg_sq")
"""AdamW's state of every weight."""


def clear_moments(optimizer: torch.optim.Optimizer, weights: Mapping[str, torch.Tensor], mask: Mask) -> None:
    """Set AdamW's moments of the weights outside `mask` to zero."""
    for name, weight in weights.items():
        for key in MOMENTS:
            if key in optimizer.state.get(weight, {}):
                optimizer.state[weight][key].masked_fill_(~mask[name], 0.0)
