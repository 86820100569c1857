"""Train a model on as it is, or with intermediate CTC, stochastic depth, or both, which it did not have before.

With --rates, every one of these learning rates is tried, and the model with the lowest dev loss is kept, which may be
the one before (`secateur.training.trials`): the record has `trials` and the `rate` that was chosen, 0 for none. With
--teacher, it also learns from another model (`secateur.training.distillation`).

What the model lost before (heads, layers) stays lost. With new regularisers, dev losses are those of the last layer
alone. The record has the dev loss before the first step (`initial_loss`), and with new regularisers also the one with
intermediate CTC at its full weight and layers skipped (`regularised_loss`, the mean of DRAWS passes): their difference
is the jump that they make.
"""

import argparse
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from secateur.core import devices
from secateur.core.errors import SecateurError
from secateur.core.jobs import json_argument
from secateur.models.load import load_model
from secateur.training import acoustic, command_line
from secateur.training.distillation import Distillation, teacher_for
from secateur.training.hooks import TrainingHook
from secateur.training.loop import evaluate
from secateur.training.regularise import RisingWeight, Skipping, regularised, without_intermediate_ctc
from secateur.training.task import finish
from secateur.training.trials import best_of

DRAWS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", type=Path, required=True, help="folder of the trained model")
    parser.add_argument("--intermediate-ctc", type=json_argument, help="JSON: layers and weight (those of the model)")
    parser.add_argument("--stochastic-depth", type=float, help="the highest rate of skipping a layer (the model's own)")
    parser.add_argument("--flat", action="store_true", help="skip all layers at this rate, as LayerDrop does")
    parser.add_argument("--rise", type=int, default=0, help="steps in which the weight of intermediate CTC rises")
    parser.add_argument("--rates", type=float, nargs="+", help="learning rates to try, instead of that of --training")
    parser.add_argument("--teacher", type=Path, help="folder of a model to learn from, too")
    parser.add_argument("--distil", type=float, default=0.5, help="weight of what is learnt from it")
    command_line.add_arguments(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    task, start = command_line.task(arguments), load_model(arguments.start)
    material = command_line.material(arguments)
    torch.manual_seed(arguments.seed)
    model, config, hooks = start.model, start.config, []
    autocast = devices.autocast(task.device, task.options.precision)

    def dev_loss(model: torch.nn.Module, *hooks: TrainingHook) -> float:
        return evaluate(model.to(task.device), material.dev, material.dev_batches, task.device, autocast, hooks)

    inputs = [folder / "model.safetensors" for folder in (arguments.start, arguments.teacher) if folder]
    teacher = teacher_for(start, arguments.teacher)

    def learns_from(model: torch.nn.Module) -> list[TrainingHook]:
        return [Distillation(model, teacher, arguments.distil)] if teacher else []

    if arguments.intermediate_ctc is None and arguments.stochastic_depth is None:
        record["initial_loss"] = dev_loss(model.eval())
        hooks = learns_from(model)
    else:
        intermediate_ctc = arguments.intermediate_ctc or config["intermediate_ctc"]
        depth = config["stochastic_depth"] if arguments.stochastic_depth is None else arguments.stochastic_depth
        model, config = regularised(start, intermediate_ctc, depth, arguments.flat)
        draws = DRAWS if depth else 1
        record["regularised_loss"] = fmean(dev_loss(model, Skipping(model)) for _ in range(draws))
        with without_intermediate_ctc(model):
            record["initial_loss"] = dev_loss(model)
        hooks = [RisingWeight(model, arguments.rise), *learns_from(model)]
    if not arguments.rates:
        acoustic.fit(task, record, material, model, config, hooks, inputs)
        return
    if arguments.intermediate_ctc is not None or arguments.stochastic_depth is not None:
        raise SecateurError("--rates: with new regularisers one rate is used, that of --training; leave it out")
    best = best_of(task, material, model, arguments.rates, dev_loss, learns_from, inputs)
    record |= {"rate": best.rate, "trials": best.trials}
    finish(task, record, best.model, config, start.tokens, best.history)
