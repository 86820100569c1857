"""The jobs of unstructured pruning: one level of a method, and pathways over the masks of levels."""

from collections.abc import Mapping
from typing import Any

from secateur.study import commands, runs
from secateur.study.command import Command
from secateur.study.paths import Paths, run_of


def prune(paths: Paths, at: Any) -> Command:
    """One level of a method."""
    config, run = paths.config, run_of(at)
    options, parents = _schedule(paths, run), runs.parents(config, run)
    adaptive = run.kind.endswith("-adaptive")
    told = {
        "start": paths.folder(parents.start),
        "ranked": paths.folder(parents.ranked),
        "sparsity": run.sparsity,
        "ranking": options["ranking"],
        "training": _recipe(paths, run)[0],
        "before": runs.steps_before(config, run),
        "include": options["include"],
        "exclude": options["exclude"],
        "within": f"{paths.folder(parents.ranked)}/masks/all.safetensors" if parents.nested else None,
        "adapt_every": options["adapt_every"] if adaptive else None,
        "soft": options["soft"] if adaptive else None,
        "keep_moments": adaptive and options["keep_moments"],
        "random": run.kind == "random",
        **commands.training_options(paths, at),
    }
    return Command("prune", told, _parent_files(paths, run), (commands.model_module(paths, run.model),))


def pathways(paths: Paths, at: Any) -> Command:
    """One set of weights with a mask for each language."""
    config, run = paths.config, run_of(at)
    options, parents, (recipe, interval) = _schedule(paths, run), runs.parents(config, run), _recipe(paths, run)
    dynamic = run.method.startswith("dynamic")
    told = {
        "start": paths.folder(parents.start),
        "masks": [f"{paths.folder(parent)}/masks/all.safetensors" for parent in parents.masks.values()],
        "ranking": options["ranking"],
        "training": recipe,
        "before": runs.steps_before(config, run),
        "levels": parents.sparsities if dynamic else None,
        "interval": interval if dynamic else None,
        "adapt_every": options["adapt_every"] if dynamic else None,
        "keep_moments": dynamic and options["keep_moments"],
        **commands.training_options(paths, at),
    }
    return Command("pathways", told, _parent_files(paths, run), (commands.model_module(paths, run.model),))


def _schedule(paths: Paths, run: runs.ModelRun) -> Mapping[str, Any]:
    """The pruning schedule of a model."""
    return paths.config["pruning"][runs.prune_entry(paths.config, run)["schedule"]]


def _recipe(paths: Paths, run: runs.ModelRun) -> tuple[dict[str, Any], int]:
    """The training recipe of a pruned model, with the steps of all its levels; and the steps of one."""
    recipe = paths.config["training"][_schedule(paths, run)["training"]]
    levels = runs.parents(paths.config, run).levels
    return {**recipe, "steps": recipe["steps"] * levels, "cycles": levels}, recipe["steps"]


def _parent_files(paths: Paths, run: runs.ModelRun) -> tuple[str, ...]:
    """The checkpoints and masks that a pruned model is made from, and its data."""
    parents = runs.parents(paths.config, run)
    files = [*paths.models(filter(None, (parents.start, parents.ranked)))]
    nested = [parents.ranked] if parents.nested else []
    files += [f"{paths.folder(parent)}/masks" for parent in (*nested, *parents.masks.values())]
    return (*dict.fromkeys(files), *paths.training(run.corpus, run.scope))
