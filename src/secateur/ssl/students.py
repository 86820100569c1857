"""The students that a teacher is distilled into: gated, pruned at once, or some of its layers (S4, section 4)."""

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from secateur.models.tensors import save_tensors
from secateur.models.upstream.encoder import Encoder
from secateur.speech.data import Batch
from secateur.ssl.channels import ChannelGates, compact_front, sparsity
from secateur.ssl.checkpoints import save_encoder
from secateur.ssl.costs import costs_of
from secateur.ssl.distillation import Distillation, LayerPairs, PredictionHeads, SparsityTarget
from secateur.ssl.gated import EncoderGates, block_parameters, compact
from secateur.ssl.layer_choice import chosen, kept
from secateur.ssl.limits import APART
from secateur.ssl.magnitude import magnitude_gates
from secateur.ssl.options import GatedStudent, LayersStudent, MagnitudeStudent, Student


def make_student(teacher: Encoder, options: Student, layers: Sequence[int] = ()) -> Distillation:
    """The model to train.

    Args:
        layers: those of the teacher that a student of some layers keeps, numbered from 1; by default the first.

    Raises SecateurError for options that the teacher cannot serve.
    """
    config = teacher.config
    match options:
        case GatedStudent():
            return _gated(teacher, options)
        case MagnitudeStudent():
            student = compact(teacher, magnitude_gates(teacher, options.sparsity))
            objective: nn.Module = LayerPairs(options.distil, student.config, config, options.ordered)
        case LayersStudent():
            student = kept(teacher, layers or range(1, options.layers + 1))
            objective = PredictionHeads(options.distil, student.config, config)
    return Distillation(student, teacher, objective, None, options.train_extractor)


def layer_by_layer(
    teacher: Encoder, options: LayersStudent, batches: Callable[[], Iterable[Batch]], seed: int = 1
) -> Iterator[tuple[list[int], Distillation]]:
    """The models to train for a student of some layers, each made of what the one before has become by then.

    The layers that go next are chosen by the student as it is, whose own output is what it is to be near to. There is
    one model for each number of layers on the way, and the student itself, each with the layers that it has of the
    teacher's, numbered from 1.

    Args:
        batches: dev data, for a strategy.
        seed: for a strategy that draws.

    Raises SecateurError for a number of layers that is above the one before, and as `make_student`.
    """
    whole, left = teacher, list(range(1, teacher.config.num_hidden_layers + 1))
    model: Distillation | None = None
    for depth in (*options.depths, options.layers):
        places: Sequence[int] = range(1, depth + 1)
        if options.strategy:
            places = chosen(whole, options.strategy, depth, batches(), seed)
        model = make_student(teacher, options, places) if model is None else model.of(kept(whole, places))
        left = [left[place - 1] for place in places]
        yield left, model
        whole = model.student


def _gated(teacher: Encoder, options: GatedStudent) -> Distillation:
    """The whole teacher with gates."""
    config, through, rate = teacher.config, options.straight_through, options.gate_rate
    starts = asdict(options.log_alpha)
    gates = EncoderGates(config, options.kinds, through, starts, rate, costs_of(options.target, teacher))
    channels = ChannelGates(config, through, starts["conv"], rate) if options.conv_sparsity else None
    student = copy.deepcopy(teacher)
    objective = LayerPairs(options.distil, student.config, config, options.ordered)
    learned = options.train_extractor, options.lambda_rate, options.lambdas
    return Distillation(student, teacher, objective, gates, *learned, channels)


def save_student(
    output: Path,
    record: dict[str, Any],
    model: Distillation,
    target: SparsityTarget | None,
    polish: Callable[[Encoder], Encoder] | None = None,
) -> Encoder:
    """Save what is left of a trained student in the folder `output`, physically smaller, and note its sparsity.

    Of a student with gates, also `gates.safetensors`: the gates, as they were folded in, and their log α. The record
    has the sparsity that its gates promised (`expected_sparsity`), in what `target` counts, beside the one that was
    `reached`, and a warning is given where they are apart.

    Args:
        polish: what is done with the smaller student before it is saved.

    Returns the student that was saved.
    """
    student = model.student
    if target is not None:
        gates = model.gates.settle(target.target)
        expected, reached = model.gates.expected_sparsity().item(), model.gates.sparsity_of(gates)
        record |= {"expected_sparsity": expected, "reached": reached, "polarisation": model.gates.polarisation()}
        if abs(expected - reached) > APART:
            logging.warning(
                "the gates promised a sparsity of %.3f and %.3f was reached by closing and opening some by rank: more "
                "steps, a higher gate_rate or another lambda_rate lets them decide themselves",
                *(expected, reached),
            )
        tensors = {kind: value.clone() for kind, value in gates.items()}
        tensors |= {f"log_alpha.{kind}": value for kind, value in model.gates.log_alpha.items()}
        if model.channels is not None:
            channels = model.channels.settle(target.channels)
            tensors |= {"conv": channels, "log_alpha.conv": model.channels.log_alpha}
        save_tensors(output / "gates.safetensors", tensors)
        student = compact(student, gates)
        if model.channels is not None:
            record["conv_sparsity"] = sparsity((channels > 0).double(), model.student.config).item()
            student = compact_front(student, channels)
    if polish is not None:
        student = polish(student)
    save_encoder(output, student)
    record["sparsity"] = 1 - block_parameters(student) / block_parameters(model.teacher)
    record["parameters"] = sum(parameter.numel() for parameter in student.parameters())
    return student
