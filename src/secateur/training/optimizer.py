"""The optimizer and its learning rate."""

import math

import torch

from secateur.training.options import TrainingOptions


def learning_rate(options: TrainingOptions, step: int) -> float:
    """The learning rate of step `step` (from 0). `learning_rate` is the peak, reached after `warmup` steps.

    `noam` (Vaswani et al. 2017): inverse square root of the step; ESPnet1's `transformer-lr` r at width d with warm-up
    w peaks at r·d^-0.5·w^-0.5. `linear` and `cosine` end at zero after `steps`. `constant` stays at the peak, `wsd`
    (warm-up, stable, decay: Hu et al. 2024) until the last `decay` share of the steps, in which it goes down to zero in
    a line. With `cycles` k > 1 the schedule is that of steps / k steps, k times over.
    """
    steps = options.steps // options.cycles
    peak, warmup, done = options.learning_rate, options.warmup, step % steps + 1
    if done <= warmup:
        return peak * done / warmup
    share = (done - warmup) / max(1, steps - warmup)
    match options.schedule:
        case "noam":
            return peak * math.sqrt(max(1, warmup) / done)
        case "linear":
            return peak * (1 - share)
        case "cosine":
            return peak * 0.5 * (1 + math.cos(math.pi * share))
        case "constant":
            return peak
        case "wsd":
            return peak * min(1.0, (steps - done) / (options.decay * steps))


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
