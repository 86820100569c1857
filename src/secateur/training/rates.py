"""The learning rate of every step. No heavy imports: a plan asks for it, too."""

import math

from secateur.training.options import TrainingOptions


def learning_rate(options: TrainingOptions, step: int) -> float:
    """The learning rate of step `step` (from 0). `learning_rate` is the peak, reached after `warmup` steps.

    `noam` (Vaswani et al. 2017): inverse square root of the step; ESPnet1's `transformer-lr` r at width d with warm-up
    w peaks at r·d^-0.5·w^-0.5. `linear` and `cosine` end at zero after `steps`. `constant` stays at the peak, `wsd`
    (warm-up, stable, decay: Hu et al. 2024) until the last `decay` share of the steps, in which it goes down to zero in
    a line. With `cycles` k > 1 the schedule is that of steps / k steps, k times over; but `wsd` goes down in the last
    cycle alone, in its last `decay` share.
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
            return peak * min(1.0, (options.steps - step - 1) / (options.decay * steps))
