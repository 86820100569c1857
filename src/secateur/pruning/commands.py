"""The jobs of unstructured pruning: one level of a method, or pathways over the masks of levels."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from secateur.pruning import methods
from secateur.pruning import study as pruning
from secateur.study import commands, runs
from secateur.study.command import Command
from secateur.study.paths import Paths, run_of


def prune(paths: Paths, at: Any) -> Command:
    """Make a model by a method of pruning."""
    config, run = paths.config, run_of(at)
    method, schedule = methods.parse(run.method).method, pruning.schedule_of(config, run)
    return by_method(paths, at, method, schedule, run.sparsity, pruning.ends(config, run))


def by_method(
    paths: Paths, at: Any, method: methods.Method, schedule: pruning.Schedule, sparsity: float, ends: bool
) -> Command:
    """Make a model by a method and a schedule; `ends` says whether its training ends a schedule."""
    config, run = paths.config, run_of(at)
    parents = runs.parents(config, run)
    told = {
        "method": method.name,
        "start": paths.folder(parents.start),
        "training": _training(config, run, schedule, parents, ends),
        "before": runs.steps_before(config, run),
        **{key: schedule.own[key] for key in method.options},
        **commands.training_options(paths, at),
    }
    if method.trains and schedule.distil:
        told |= {"teacher": paths.folder(pruning.dense_of(run)), "distil": schedule.distil}
    if method.adapts:
        told["settle"] = schedule.settle if ends else 0.0
    if parents.ranked:
        told |= asdict(schedule.ranked)
        told |= {"ranked": paths.folder(parents.ranked), "sparsity": sparsity}
        told["within"] = _mask(paths, parents.ranked) if parents.nested else None
    if parents.masks:
        told |= {"masks": [_mask(paths, parent) for parent in parents.masks.values()], "ranking": schedule.ranking}
        told["levels"] = list(parents.sparsities) or None
    modules, taught = (commands.model_module(paths, run.model), method.module), method.trains and schedule.distil > 0
    return Command("prune", told, _inputs(paths, run, parents, taught), modules)


def training_of(config: Mapping[str, Any], run: runs.ModelRun) -> dict[str, Any]:
    """How a pruned model is trained: its `training` of a level, for all levels and languages that its job trains.

    `wsd` is constant until the masks of the last level are fixed, also where they were fixed before.
    """
    schedule, made_from = pruning.schedule_of(config, run), pruning.parents(config, run)
    return _training(config, run, schedule, made_from, pruning.ends(config, run))


def _training(
    config: Mapping[str, Any], run: runs.ModelRun, schedule: pruning.Schedule, made_from: runs.Parents, ends: bool
) -> dict[str, Any]:
    level, settle = config["training"][schedule.training], schedule.settle
    told = {**level, "steps": runs.steps(config, run) or level["steps"], "cycles": made_from.levels or 1}
    told |= {key: level[key] * made_from.languages for key in ("warmup", "evaluate_every")}
    if level["schedule"] == "wsd":
        told |= {"decay": settle} if ends and settle else {"schedule": "constant"}
    return told


def _mask(paths: Paths, run: runs.ModelRun) -> str:
    """The file of the one mask of a model."""
    return f"{paths.folder(run)}/masks/all.safetensors"


def _inputs(paths: Paths, run: runs.ModelRun, parents: runs.Parents, taught: bool) -> tuple[str, ...]:
    """The checkpoints and masks that a pruned model is made from, and its data."""
    teacher = pruning.dense_of(run) if taught else None
    files = [*paths.models(filter(None, (parents.start, parents.ranked, teacher)))]
    nested = [parents.ranked] if parents.nested else []
    files += [f"{paths.folder(parent)}/masks" for parent in (*nested, *parents.masks.values())]
    return (*dict.fromkeys(files), *paths.training(run.corpus, run.scope))
