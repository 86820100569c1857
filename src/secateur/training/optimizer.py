"""The optimizer."""

import torch

from secateur.training.options import TrainingOptions


def make_optimizer(model: torch.nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019) with weight decay on matrices only, with ESPnet's eps and default betas.

    A parameter with an attribute `rate` is trained at that many times the learning rate, without weight decay.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rates = sorted({parameter.rate for parameter in parameters if hasattr(parameter, "rate")})
    plain = [parameter for parameter in parameters if not hasattr(parameter, "rate")]
    groups = [
        {"params": [parameter for parameter in plain if parameter.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [parameter for parameter in plain if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    for rate in rates:
        own = [parameter for parameter in parameters if getattr(parameter, "rate", None) == rate]
        groups.append({"params": own, "weight_decay": 0.0, "rate": rate})
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, options.beta2), eps=1e-9, fused=True)
