"""Prune a model and train what is left, by one of the methods: one level of a schedule, or pathways over given masks.

The mask keeps weights of --ranked; training starts from the weights of --start. IMP: both are the level before. LTH:
--start is the dense model, so the survivors are rewound to it. Pathways need --masks, one for each language, instead;
those that adapt go through --levels in equal parts of the steps. Dense controls need neither: they are fine-tuned.
"""

import argparse
import logging
import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from secateur.core import flags
from secateur.core.errors import SecateurError
from secateur.core.files import write_tsv
from secateur.models.load import load_model
from secateur.pruning import methods
from secateur.pruning.engines.calendar import GROWS_BACK, movement
from secateur.pruning.engines.given import Given
from secateur.pruning.engines.mask import ONE_FOR_ALL, Mask, prunable, save_masks, union, weights
from secateur.pruning.engines.ranking import magnitude_mask, smallest
from secateur.pruning.options import RankingOptions
from secateur.training import acoustic, command_line
from secateur.training.distillation import Distillation, teacher_for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    known = methods.registry()
    parser.add_argument("--method", required=True, choices=known, help="how to prune")
    parser.add_argument("--start", type=Path, required=True, help="model whose weights training starts from")
    parser.add_argument("--ranked", type=Path, help="model whose weights the mask is made of (that of --start)")
    parser.add_argument("--within", type=Path, help="mask that the new one must be nested in")
    parser.add_argument("--sparsity", type=float, help="share of the prunable weights to remove")
    parser.add_argument("--masks", type=Path, nargs="+", help="for pathways: masks, in the order of --languages")
    parser.add_argument("--levels", type=float, nargs="+", help="for pathways that adapt: sparsities on the way")
    parser.add_argument("--settle", type=float, default=0.0, help="share of the last level with fixed masks")
    flags.add(parser, RankingOptions)
    parser.add_argument("--teacher", type=Path, help="folder of a model to learn from, too")
    parser.add_argument("--distil", type=float, default=0.5, help="weight of what is learnt from it")
    for name, schema in methods.options().items():
        users = ", ".join(method.name for method in known.values() if name in method.options)
        flags.add_key(parser, name, {**schema, "description": f"{users}: {schema['description']}"})
    command_line.add_arguments(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    method = methods.named(arguments.method)
    _check(arguments, method)
    material = command_line.material(arguments, monolingual=method.from_masks)
    start = load_model(arguments.start)
    hook = method.hook(_given(arguments, method)) if method.hook else None
    if "soft" in method.options and arguments.soft == GROWS_BACK:
        record |= _reach(arguments, hook, start.model)
    inputs = [arguments.start / "model.safetensors"]
    inputs += [arguments.ranked / "model.safetensors"] if arguments.ranked else []
    inputs += [file for file in (arguments.within, *(arguments.masks or ())) if file]
    if hook is not None and not method.trains:
        change = partial(_calibrated, hook, material, arguments)
        acoustic.without_training(command_line.task(arguments), record, material, start.model, start.config, change)
    else:
        teacher = teacher_for(start, arguments.teacher)
        hooks = [
            *([hook] if hook else []),
            *([Distillation(start.model, teacher, arguments.distil)] if teacher else []),
        ]
        inputs += [arguments.teacher / "model.safetensors"] if arguments.teacher else []
        acoustic.fit(command_line.task(arguments), record, material, start.model, start.config, hooks, inputs)
    if hook is None:
        return
    union(hook.masks.values()).check(start.model)
    save_masks(arguments.output, hook.masks)
    if method.adapts:
        rows = [dict(zip(hook.log_columns, row, strict=True)) for row in hook.log]
        write_tsv(arguments.output / "adaptations.tsv", hook.log_columns, rows)
    record |= _summary(hook.masks)


def _check(arguments: argparse.Namespace, method: methods.Method) -> None:
    """Raise SecateurError for an option that the method needs and was not given, or a sparsity that is none."""
    needed = [name for name, schema in method.options.items() if "default" not in schema]
    needed += ["sparsity"] if method.ranked else []
    needed += ["masks"] if method.from_masks else []
    needed += ["levels"] if method.from_masks and method.adapts else []
    for name in needed:
        if getattr(arguments, name) is None:
            raise SecateurError(f"--method {method.name} needs --{name.replace('_', '-')}")
    if method.from_masks and len(arguments.masks) != len(arguments.languages):
        counts = f"{len(arguments.masks)} masks of {len(arguments.languages)} languages"
        raise SecateurError(f"--masks: {counts}; wanted one for each of --languages, in their order")
    if method.ranked and not 0 <= arguments.sparsity < 1:
        raise SecateurError(f"--sparsity {arguments.sparsity}: wanted the share of weights to remove, 0 to below 1")


def _given(arguments: argparse.Namespace, method: methods.Method) -> Given:
    """What the method makes its hook from."""
    candidates: Mapping[str, Any] = {}
    options = flags.given(RankingOptions, arguments)
    if method.ranked:
        ranked = load_model(arguments.ranked or arguments.start).model
        candidates = weights(ranked, prunable(ranked, options.include, options.exclude))
    files = dict(zip(arguments.languages, arguments.masks, strict=True)) if method.from_masks else {}
    return Given(
        weights=candidates,
        within=Mask.load(arguments.within, candidates) if arguments.within else None,
        masks={language: Mask.load(file) for language, file in files.items()},
        sparsity=arguments.sparsity,
        levels=arguments.levels,
        steps=arguments.training.steps,
        settle=arguments.settle,
        ranking=options.ranking,
        seed=arguments.seed,
        languages=arguments.languages,
        options={name: getattr(arguments, name) for name in method.options},
    )


def _calibrated(hook: Any, material: acoustic.Material, arguments: argparse.Namespace, model: torch.nn.Module) -> None:
    """Prune a model by some utterances of the training data, drawn by the seed."""
    known = sorted(material.examples.lengths)
    chosen = random.Random(arguments.seed).sample(known, min(arguments.calibration, len(known)))
    hook.calibrate(model, [material.examples.load([name]) for name in chosen])


def _reach(arguments: argparse.Namespace, hook: Any, start: torch.nn.Module) -> dict[str, float]:
    """What the record says of whether masks can change; if they cannot, that is logged, too."""
    count = len(arguments.languages) if len(hook.masks) > 1 else 1
    candidates = weights(start, next(iter(hook.masks.values())))
    least = smallest(candidates, magnitude_mask(candidates, hook.calendar.levels[-1], arguments.ranking))
    far = movement(arguments.training, hook.calendar, count)
    if far <= least:
        logging.warning(
            "no mask can change: between two adaptations a weight moves by at most %.3g, and the smallest in a mask is "
            "%.3g; raise --adapt-every or the learning rate, or give --soft straight_through",
            far,
            least,
        )
    return {"movement": far, "threshold": least}


def _summary(masks: Mapping[str, Mask]) -> dict[str, Any]:
    """What the record says of the masks: a sparsity for each language if there is a mask for each."""
    sparsity = {name: mask.sparsity for name, mask in masks.items()}
    return {"sparsity": sparsity.get(ONE_FOR_ALL, sparsity), "prunable": next(iter(masks.values())).total}
