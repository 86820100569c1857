"""The jobs of layer pruning: how alike layers are, and which can go; and late regularisers."""

from typing import Any

from secateur.layers import strategies
from secateur.layers import study as layers
from secateur.models import types
from secateur.study import commands, runs
from secateur.study.command import Command
from secateur.study.paths import Paths, run_of
from secateur.study.timing import SPLIT as DEV


def dev_options(paths: Paths, corpus: str) -> dict[str, Any]:
    """The dev data of all languages of a corpus, as commands that analyse models want it."""
    tails = [f"{corpus}/{language}/{DEV}" for language in paths.languages(corpus)]
    return {
        "data": [f"{paths.root}/data/{tail}" for tail in tails],
        "features": [f"{paths.root}/features/{tail}" for tail in tails],
        "device": paths.config["device"],
    }


def analysed(paths: Paths, run: runs.ModelRun) -> tuple[str, ...]:
    """What an analysis of one model on dev data reads."""
    return (*paths.model(run.folder), *paths.tokens(run.corpus), *paths.dev(run.corpus))


def similarity(paths: Paths, at: Any) -> Command:
    """How alike the layers of one model are, which the strategy svcca orders them by."""
    run = run_of(at)
    options = {"models": [paths.folder(run)], "names": [layers.name(run)], **dev_options(paths, run.corpus)}
    return Command("similarity", options, analysed(paths, run), (commands.model_module(paths, run.model),))


def compared(paths: Paths, at: Any) -> Command:
    """How alike the layers of all models of a corpus with one frame rate are."""
    found = layers.compared(paths.config, at.corpus, at.rate, int(at.seed))
    options = {
        "models": [paths.folder(run) for run in found.values()],
        "names": list(found),
        **dev_options(paths, at.corpus),
    }
    files = (*paths.tokens(at.corpus), *paths.dev(at.corpus), *paths.models(found.values()))
    modules = sorted({commands.model_module(paths, run.model) for run in found.values()})
    return Command("similarity", options, files, tuple(modules))


def search(paths: Paths, at: Any) -> Command:
    """The order in which a strategy removes the layers of a model."""
    run, config = run_of(at), paths.config
    of, strategy = layers.split_prefix(at.strategy)
    known = paths.of(f"{run.folder}/layers/similarity.tsv", f"{run.folder}/layers/curves.json")
    known = known if strategies.SIMILARITY in strategies.needs(strategy) else ()
    options = {
        "model": paths.folder(run),
        "tokens": paths.tokens(run.corpus)[0],
        "strategy": strategy,
        "of": of if of != types.ENCODER else None,
        "objective": layers.objective(config, run.whole, of),
        "batch_seconds": config["training"][runs.training_of(config, run.whole)]["batch_seconds"],
        "seed": run.seed,
        **dict(zip(("similarity", "similarity_curves"), known, strict=False)),
        **dev_options(paths, run.corpus),
    }
    files = (*analysed(paths, run), *known)
    modules = (commands.model_module(paths, run.model), strategies.STRATEGIES.named(strategy).module)
    return Command("layer_search", options, files, modules)


def export_depth(paths: Paths, before: runs.ModelRun, order: str, depth: int) -> Command:
    """The model `before` with so many of its layers, by an order of removal, as a checkpoint of its own."""
    file = paths.of(order)[0]
    options = {"model": paths.folder(before), "layers": file, "depth": depth}
    modules = (commands.model_module(paths, before.model),)
    return Command("export_depth", options, (*paths.model(before.folder), file), modules)


def decode_depths(paths: Paths, at: Any) -> Command:
    """All sub-models of a model with one search."""
    run, (of, _) = run_of(at), layers.split_prefix(at.depths)
    (entry,) = layers.entries_of(paths.config, run, of)
    found = list(paths.of(*layers.order_files(entry, run).values()))
    command = commands.decode(paths, at, layers=found, depths=entry["depths"])
    return commands.reading(command, *found)


def regularise(paths: Paths, at: Any) -> Command:
    """A dense model trained on with regularisers that it did not have before."""
    run, config = run_of(at), paths.config
    variant, start = layers.late_variant(config, run), runs.parents(config, run).start
    options = {
        "start": paths.folder(start),
        "intermediate_ctc": variant["intermediate_ctc"],
        "stochastic_depth": variant["stochastic_depth"],
        "flat": variant["flat"] or None,
        "rise": variant["rise"],
        "training": config["training"][variant["training"]],
        "before": runs.steps_before(config, run),
        **commands.training_options(paths, at),
    }
    files = (*paths.model(start.folder), *paths.training(at.corpus, at.scope))
    return Command("finetune", options, files, (commands.model_module(paths, run.model),))
