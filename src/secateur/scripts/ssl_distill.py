"""Distil a self-supervised encoder into a smaller one: pruned through learned gates, at once, or some of its layers."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from secateur.core.files import write_tsv
from secateur.core.options import argument
from secateur.models.upstream.encoder import Encoder
from secateur.ssl import command_line, fitting
from secateur.ssl.checkpoints import load_encoder
from secateur.ssl.distillation import GATE_COLUMNS, Distillation, SparsityTarget, missed
from secateur.ssl.layer_choice import chosen
from secateur.ssl.options import GatedStudent, LayersStudent, Student
from secateur.ssl.students import make_student, save_student
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
    options, training = arguments.student, arguments.training
    torch.manual_seed(arguments.seed)
    teacher = load_encoder(arguments.teacher)
    task, waves = training_line.task(arguments), command_line.waves(arguments)
    layers: Sequence[int] = ()
    if isinstance(options, LayersStudent) and options.strategy:
        batches = fitting.dev_batches(task, waves, teacher.config)
        layers = record["kept"] = chosen(teacher, options.strategy, options.layers, batches, arguments.seed)
    model = make_student(teacher, options, layers)
    target = None
    if isinstance(options, GatedStudent):
        warmup = round(options.sparsity_warmup * training.steps)
        target = SparsityTarget(options.sparsity, warmup, training.steps, arguments.log_every, options.conv_sparsity)
    inputs = [arguments.teacher / name for name in ("config.json", "model.safetensors")]
    history = fitting.fit(task, record, waves, model, teacher.config, [target] if target else [], inputs)

    def polish(student: Encoder) -> Encoder:
        smaller = Distillation(student, teacher, model.objective, None, model.train_extractor)
        fitting.again(task, record, waves, smaller, teacher.config, arguments.second, history, inputs)
        return smaller.student

    student = save_student(arguments.output, record, model, target, polish if arguments.second else None)
    smaller = Distillation(student.to(task.device), teacher, model.objective, None, model.train_extractor)
    record["missed"] = missed(smaller, fitting.dev_batches(task, waves, teacher.config))
    if target:
        write_tsv(arguments.output / "gates.tsv", GATE_COLUMNS, target.log())
