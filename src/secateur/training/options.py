"""How a model is trained: an entry of `training` in a study, `--training` on the command line, `Task.options` here."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

Count = Annotated[int, {"minimum": 0}]
AtLeastOne = Annotated[int, {"minimum": 1}]
Positive = Annotated[float, {"exclusiveMinimum": 0}]
NotNegative = Annotated[float, {"minimum": 0}]
Rate = Annotated[float, {"minimum": 0, "exclusiveMaximum": 1}]


@dataclass(frozen=True)
class SpecAugment:
    """The masks of SpecAugment (`secateur.core.options`); without any, nothing is masked."""

    frequency_masks: Annotated[int, {"minimum": 0}] = 2
    """Number of frequency masks."""
    frequency_width: Annotated[int, {"minimum": 1}] = 20
    """Widest frequency mask in bins."""
    time_masks: Annotated[int, {"minimum": 0}] = 2
    """Number of time masks."""
    time_width: Annotated[float, {"minimum": 0, "exclusiveMaximum": 1}] = 0.05
    """Widest time mask as a share of the frames."""


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The options of a training (`secateur.core.options`)."""

    steps: AtLeastOne
    """Optimiser steps."""
    batch_seconds: Positive = 60
    """Audio seconds in a batch, padding included (acoustic models)."""
    batch_tokens: AtLeastOne = 4000
    """Tokens in a batch, padding included (language models)."""
    accumulate: AtLeastOne = 1
    """Micro-batches that a batch is split into, to save memory; the result is that of the whole batch."""
    processes: AtLeastOne = 1
    """Processes that share every batch, each on a GPU, or a CPU thread, of its own; the result is that of one process,
    but for rounding and for what each draws."""
    nodes: AtLeastOne = 1
    """Nodes of a SLURM cluster, each with so many `processes`."""
    learning_rate: Positive
    """Peak learning rate of AdamW."""
    weight_decay: NotNegative = 0.01
    """Decoupled weight decay of matrices."""
    warmup: Count = 0
    """Steps of linear warm-up to the peak."""
    schedule: Literal["noam", "linear", "cosine", "constant", "wsd"] = "cosine"
    """After the warm-up - inverse square root (noam), down to zero (linear, cosine), constant, or constant and in the
    end down to zero (wsd)."""
    decay: Annotated[float, {"exclusiveMinimum": 0, "maximum": 1}] = 0.2
    """Share of the steps, the last ones, in which the learning rate of `wsd` goes down; in `pruning` it is `settle` of
    the last level instead."""
    ema: Rate = 0.0
    """Rate d of a moving average of the weights, a ← d·a + (1 − d)·w after every step, which is evaluated and kept in
    their place; 0 for none."""
    clip: Positive = 5.0
    """Largest norm of a step's gradient."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Autocast; `auto` is bfloat16 where the hardware multiplies it natively, else float32."""
    evaluate_every: AtLeastOne = 1000
    """Steps between dev losses."""
    average_best: Count = 1
    """The model is the mean of this many checkpoints with the lowest dev loss; 0 takes the last step's."""
    checkpoint_seconds: NotNegative = 60
    """Seconds between saves of the whole state; a killed run resumes from the last one."""
    temperature: Annotated[float | None, {"minimum": 1}] = None
    """Where several languages are trained, each batch is of one of them, whose share of the batches goes with its audio
    to the power of one over this - 1 by size, 1000 in equal shares. By default batches mix languages by size, and
    those of pathways, which need one language each, take equal turns."""
    specaug: SpecAugment = field(default_factory=SpecAugment)
    """SpecAugment (Park et al. 2019), acoustic models only."""
    beta2: Rate = 0.98
    # Without a docstring: heads of SUPERB's tasks set it (`secateur.ssl.tasks`); other trainings have ESPnet's.
    cycles: AtLeastOne = 1
    # Without a docstring: `secateur prune` is told to repeat the schedule so many times, for the levels of pathways.
