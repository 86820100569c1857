"""Distil a self-supervised encoder into a smaller one: pruned through learned gates, at once, or some of its layers."""

import argparse
from pathlib import Path
from typing import Any

import torch

from secateur.core.files import write_tsv
from secateur.core.options import argument
from secateur.models.upstream.encoder import Encoder
from secateur.ssl import command_line, fitting
from secateur.ssl.checkpoints import load_encoder
from secateur.ssl.distillation import GATE_COLUMNS, SparsityTarget, missed
from secateur.ssl.options import GatedStudent, LayersStudent, Student
from secateur.ssl.students import layer_by_layer, make_student, save_student
from secateur.training import command_line as training_line
from secateur.training.options import TrainingOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--teacher", type=Path, required=True, help="folder of the teacher: ours, or a Hugging Face one"
    )
    parser.add_argument(
        "--student",
        type=argument(Student, "student"),
        required=True,
        help="JSON: an entry of `students` in `ssl` (docs/configuration.md), without its name and trainings",
    )
    parser.add_argument("--log-every", type=int, default=10, help="steps from one row of gates.tsv to the next")
    parser.add_argument(
        "--second",
        type=argument(TrainingOptions, "training"),
        help="JSON: an entry of `training`, by which what is left of the student is distilled on (none)",
    )
    command_line.add_arguments(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    options, training, second = arguments.student, arguments.training, arguments.second
    torch.manual_seed(arguments.seed)
    teacher = load_encoder(arguments.teacher)
    task, waves = training_line.task(arguments), command_line.waves(arguments)
    inputs = [arguments.teacher / name for name in ("config.json", "model.safetensors")]
    count = 1 + len(getattr(options, "depths", ())) + (second is not None)
    trainings = fitting.Trainings(task, waves, teacher.config, inputs, count=count)
    target = None
    if isinstance(options, LayersStudent):
        record["depths"] = {}
        for layers, model in layer_by_layer(teacher, options, trainings.dev_batches, arguments.seed):
            trainings.train(model, training)
            record["depths"][str(len(layers))] = layers
    else:
        model = make_student(teacher, options)
        if isinstance(options, GatedStudent):
            warmup = round(options.sparsity_warmup * training.steps)
            every = arguments.log_every
            target = SparsityTarget(options.sparsity, warmup, training.steps, every, options.conv_sparsity)
        trainings.train(model, training, [target] if target else [])

    def polish(student: Encoder) -> Encoder:
        smaller = model.of(student)
        trainings.improve(record, smaller, second)
        return smaller.student

    student = save_student(arguments.output, record, model, target, polish if second else None)
    trainings.note(record)
    record["missed"] = missed(model.of(student.to(task.device)), trainings.dev_batches())
    if target:
        write_tsv(arguments.output / "gates.tsv", GATE_COLUMNS, target.log())
