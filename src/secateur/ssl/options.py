"""The options of the section `ssl` that its commands share with studies.

`pretraining` of an entry is `--head` of `secateur ssl-pretrain`, and one of its `students` is `--student` of `secateur
ssl-distill`. `training` and `specaug` of its tasks are read from what `secateur superb-task` gets as `--tasks`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, get_args

from secateur.core.options import read
from secateur.training.options import AtLeastOne, Count, NotNegative, Positive, Rate, TrainingOptions

Gate = Literal["mha", "ffn", "heads", "qk", "vo", "int"]
KINDS: tuple[Gate, ...] = get_args(Gate)
FINE: tuple[Gate, ...] = ("mha", "ffn", "qk", "vo", "int")
"""S4's gates."""
WHOLE_HEADS: tuple[Gate, ...] = ("mha", "ffn", "heads", "int")
"""S4's gates without fine-grained attention head pruning."""


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """What is clustered for an iteration of pretraining (`secateur.core.options`)."""

    clusters: Annotated[int, {"minimum": 2}]
    """Number of clusters."""
    frames: AtLeastOne = 200_000
    """Most frames to find the clusters with."""
    layer: Annotated[int | None, {"minimum": 1}] = None
    """The layer that is clustered; null for the middle one."""


@dataclass(frozen=True, kw_only=True)
class SpeedOptions:
    """How extraction is timed (`secateur.core.options`): `speed` of an entry but for the audio."""

    utterances: AtLeastOne = 20
    """Utterances at least; where so many are more audio than that, their beginnings."""
    runs: AtLeastOne = 6
    """Rounds in which all of it is extracted."""


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """The options of masked prediction (`secateur.core.options`)."""

    clusters: Annotated[int, {"minimum": 2}]
    # Without a docstring: every iteration of a study has its own.
    codeword: Annotated[int, {"minimum": 1}] = 256
    """Width of the codewords."""
    temperature: Annotated[float, {"exclusiveMinimum": 0}] = 0.1
    """τ, by which similarities to the codewords are divided."""
    mask_probability: Annotated[float, {"exclusiveMinimum": 0, "maximum": 1}] = 0.08
    """Share of frames at which a mask starts."""
    mask_length: Annotated[int, {"minimum": 1}] = 10
    """Frames that a mask covers."""
    masked_weight: Annotated[float, {"minimum": 0, "maximum": 1}] = 1.0
    """Weight α of masked frames in the loss; 1 − α is that of the others."""


@dataclass(frozen=True, kw_only=True)
class LogAlpha:
    """Where gates start (`secateur.core.options`)."""

    mha: float = 10.0
    """Attention blocks."""
    ffn: float = 10.0
    """Feed-forward blocks."""
    heads: float = 10.0
    """Whole heads."""
    qk: float = 2.0
    """Widths of queries and keys."""
    vo: float = 2.0
    """Widths of values."""
    int: float = 2.0
    """Units of feed-forward blocks."""
    conv: float = 2.0
    """Channels of convolutions."""


@dataclass(frozen=True, kw_only=True)
class _Student:
    """What all students have."""

    distil: Annotated[tuple[Annotated[int, {"minimum": 1}], ...], {"minItems": 1, "uniqueItems": True}]
    """Layers of the teacher to learn from."""
    train_extractor: bool = True
    """Whether the convolutions are trained."""


@dataclass(frozen=True, kw_only=True)
class _Sparse(_Student):
    """What students have that parts of layers are removed from."""

    sparsity: Annotated[float, {"exclusiveMinimum": 0, "exclusiveMaximum": 1}]
    """Share of the parameters of the Transformer's blocks that goes."""
    ordered: bool = True
    """Higher teacher layers are paired with higher student layers."""


@dataclass(frozen=True, kw_only=True)
class GatedStudent(_Sparse):
    """Pruned through learned gates, from the whole teacher."""

    type: Literal["gates"] = "gates"
    """How it is made."""
    sparsity_warmup: Annotated[float, {"minimum": 0, "maximum": 1}] = 0.07
    """Share of the steps in which the target rises."""
    kinds: Annotated[tuple[Gate, ...], {"minItems": 1, "uniqueItems": True}] = FINE
    """Gates: on blocks (mha, ffn), whole heads (heads), widths of queries and keys and of values (qk, vo), and of
    feed-forward blocks (int). Without fine-grained head pruning: mha, ffn, heads, int."""
    conv_sparsity: Annotated[float, {"minimum": 0, "exclusiveMaximum": 1}] = 0.0
    """Share of the parameters of the convolutions and of the feature projection that goes, by gates on channels, beside
    `sparsity`; 0 for no such gates."""
    straight_through: bool = True
    """Gradients pass saturated gates."""
    log_alpha: LogAlpha = field(default_factory=LogAlpha)
    """Where gates start, by kind. At 2, two draws in five are neither 0 nor 1. Coarse gates start far in the open, so
    that blocks go last."""
    target: Literal["parameters", "macs", "latency"] = "parameters"
    """What `sparsity` is a share of, in the Transformer's blocks - parameters, multiply-adds, or time, as it is
    measured where the student is trained."""
    gate_rate: Annotated[float, {"exclusiveMinimum": 0}] = 100.0
    """Learning rate of the gates, in times that of the weights."""
    lambda_rate: Annotated[float, {"exclusiveMinimum": 0}] = 100.0
    """That of λ1 and λ2."""
    lambdas: Annotated[tuple[float, ...], {"minItems": 2, "maxItems": 2}] = (0.0, 0.0)
    """Where λ1 and λ2 start."""


@dataclass(frozen=True, kw_only=True)
class MagnitudeStudent(_Sparse):
    """Pruned at once, the units of the smallest norms."""

    type: Literal["magnitude"] = "magnitude"
    """How it is made."""


@dataclass(frozen=True, kw_only=True)
class LayersStudent(_Student):
    """Some of the teacher's layers with prediction heads; the first, as DistilHuBERT, or by a strategy."""

    type: Literal["layers"] = "layers"
    """How it is made."""
    layers: Annotated[int, {"minimum": 1}]
    """How many."""
    strategy: str | None = None
    """Which: as a strategy of `layers` chooses them, by how far the output is from the teacher's on dev data; null for
    the first, as in DistilHuBERT."""
    depths: tuple[Annotated[int, {"minimum": 1}], ...] = ()
    """Numbers of layers on the way, the most first, with which it is trained, too, each time by all of `training`; what
    goes next is chosen by what it became. Without any, all layers that go are gone before it is trained."""


Student = GatedStudent | MagnitudeStudent | LayersStudent
"""What a teacher is distilled into."""


@dataclass(frozen=True, kw_only=True)
class HeadTraining:
    """How the head of a task is trained (`secateur.core.options`)."""

    heads: AtLeastOne = 1
    """Heads that are trained, with seeds of their own; their mean counts, and intervals are over heads and test
    items."""
    steps: AtLeastOne = 300
    """Optimiser steps."""
    batch: Positive = 64
    """Clips in a batch, of pooled heads; else seconds of audio, padding included."""
    clips: Annotated[int | None, {"minimum": 1}] = None
    """Clips of similar length in a batch, in the place of `batch`."""
    select: Literal["loss", "metric"] = "loss"
    """What chooses the checkpoint on dev data, and stands for the dev loss: the loss, or the task's own measure."""
    beta2: Rate = 0.98
    """Second moment's rate of AdamW."""
    learning_rate: Positive = 3.0e-3
    """Peak learning rate of AdamW."""
    warmup: Count = 10
    """Steps of linear warm-up to the peak."""
    schedule: Literal["constant", "linear", "cosine", "noam"] = "linear"
    """After the warm-up, as in `training`."""
    clip: Positive = 1.0
    """Largest norm of a step's gradient."""
    weight_decay: NotNegative = 0.0
    """Decoupled weight decay of matrices."""
    accumulate: AtLeastOne = 1
    """Micro-batches that a batch is split into."""
    precision: Literal["auto", "float32"] = "auto"
    """Autocast, as in `training`."""
    evaluate_every: AtLeastOne = 50
    """Steps between dev losses."""
    average_best: Count = 1
    """The head is the mean of this many checkpoints with the lowest dev loss; 0 takes the last step's."""
    checkpoint_seconds: NotNegative = 60
    """Seconds between saves of the whole state."""

    @property
    def options(self) -> TrainingOptions:
        """What the loop trains it by."""
        own = ("heads", "batch", "clips", "select")
        return TrainingOptions(**{name: value for name, value in asdict(self).items() if name not in own})


def head_training(task: Mapping[str, Any]) -> HeadTraining:
    """How the heads of a task with these options are trained. Tasks without a head have nothing to say of it."""
    return read(HeadTraining, task.get("training", {}), "training")


@dataclass(frozen=True, kw_only=True)
class HiddenAugment:
    """The masks of SpecAugment on hidden states (`secateur.core.options`)."""

    frequency_masks: Count = 0
    """Number of masks over dimensions."""
    frequency_width: Count = 0
    """Widest mask in dimensions."""
    time_masks: Count = 0
    """Number of time masks."""
    time_width: NotNegative = 0.0
    """Widest time mask as a share of the frames."""
    time_frames: Annotated[int | None, {"minimum": 1}] = None
    """Widest time mask in frames, in the place of `time_width`."""
    time_warp: Count = 0
    """Window of time warping in frames."""
