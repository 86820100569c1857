"""The jobs of head pruning: what heads are worth, which go, the models without them; and what language models cost."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from secateur.core.options import read
from secateur.decoding import search as searches
from secateur.decoding.options import TuningOptions
from secateur.heads import study as heads
from secateur.heads.policies import POLICIES, TIMES, needs
from secateur.layers import commands as layers
from secateur.layers.commands import analysed, dev_options
from secateur.study import commands, runs
from secateur.study.command import Command
from secateur.study.paths import Paths, run_of


def importance(paths: Paths, at: Any) -> Command:
    """How much a model needs each of its heads."""
    run = run_of(at)
    entry = heads.estimated(paths.config, run)
    options = _material(paths, run, entry["utterances"]) | {"again": entry["again"] or None, "shares": entry["shares"]}
    return Command("head_importance", options, analysed(paths, run), _modules(paths, run))


def _material(paths: Paths, run: runs.ModelRun, utterances: int) -> dict[str, Any]:
    """What an importance is estimated with: the model, and so many utterances of every language."""
    options = {"model": paths.folder(run), "tokens": paths.tokens(run.corpus)[0], "utterances": utterances}
    return options | {"seed": run.seed, **dev_options(paths, run.corpus)}


def times(paths: Paths, at: Any) -> Command:
    """How long attention takes, by block and number of heads."""
    run, config = run_of(at), paths.config
    timed = heads.entry_of(config, run)["latency"]["searches"]
    beams = [config["searches"][name].get("beam") for name in timed]
    options = {
        "model": paths.folder(run),
        "tokens": paths.tokens(run.corpus)[0],
        "beam": next(filter(None, beams), 1),
        **dev_options(paths, run.corpus),
    }
    return Command("head_times", options, analysed(paths, run), _modules(paths, run))


def removals(paths: Paths, at: Any) -> Command:
    """Which heads go by importance, policy and share."""
    run = run_of(at)
    entry = heads.entry_of(paths.config, run)
    measured, importances = _times(paths, run, entry["policies"]), paths.of(heads.importance_file(run))
    options = {
        "model": paths.folder(run),
        "importances": importances[0],
        "systems": ["/".join(system) for system in heads.systems(entry)],
        "shares": entry["shares"],
        "times": next(iter(measured), None),
    }
    files = (*paths.model(run.folder), *importances, *measured)
    return Command("head_removals", options, files, (*_modules(paths, run), *_policies(entry["policies"])))


def decode(paths: Paths, at: Any) -> Command:
    """A model without each set of its heads, on one split of one language with one search."""
    file = paths.of(heads.removals_file(run_of(at)))[0]
    return commands.reading(commands.decode(paths, at, heads=file), file)


def prune(paths: Paths, at: Any) -> Command:
    """A model without a share of its heads, as a checkpoint of its own."""
    run = run_of(at)
    _, policy, permille = heads.last_step(run)
    importance = heads.entry_of(paths.config, run)["importances"][0]
    return without_share(paths, heads.parent(run), importance, policy, permille / 1000)


def without_share(paths: Paths, before: runs.ModelRun, importance: str, policy: str, share: float) -> Command:
    """The model `before` without a share of its heads."""
    measured, importances = _times(paths, before, [policy]), paths.of(heads.importance_file(before))
    options = {
        "model": paths.folder(before),
        "importances": importances[0],
        "importance": importance,
        "policy": policy,
        "share": share,
        "times": next(iter(measured), None),
    }
    files = (*paths.model(before.folder), *importances, *measured)
    return Command("prune_heads", options, files, (*_modules(paths, before), *_policies([policy])))


def without_channels(paths: Paths, before: runs.ModelRun, utterances: int, share: float) -> Command:
    """The model `before` without a share of the channels of each convolution of its front end."""
    options = _material(paths, before, utterances) | {"share": share}
    return Command("prune_channels", options, analysed(paths, before), _modules(paths, before))


def export_depth(paths: Paths, at: Any) -> Command:
    """A model without some of its layers, as a checkpoint of its own."""
    run = run_of(at)
    return layers.export_depth(paths, heads.parent(run), heads.layer_order(run), heads.last_step(run)[2])


def recover(paths: Paths, at: Any) -> Command:
    """A smaller model, or for a control the whole one, trained on."""
    run = run_of(at)
    options = heads.of_model(paths.config, run)
    return trained_on(paths, at, heads.parent(run), options.rates, options.distil)


def trained_on(
    paths: Paths, at: Any, before: runs.ModelRun, rates: Sequence[float] = (), distil: float = 0.0
) -> Command:
    """The model `before` trained on, at the best of some rates, and by what the whole model says with a weight."""
    run, config = run_of(at), paths.config
    options = {
        "start": paths.folder(before),
        "training": config["training"][runs.training_of(config, run)],
        "rates": list(rates) or None,
        "before": runs.steps_before(config, run),
        **commands.training_options(paths, at),
    }
    files = (*paths.model(before.folder), *paths.training(at.corpus, at.scope))
    if distil:
        options |= {"teacher": paths.folder(run.whole), "distil": distil}
        files += paths.model(run.whole.folder)
    return Command("finetune", options, files, _modules(paths, run))


def tuning(paths: Paths, at: Any) -> Command:
    """The LM weights and length bonuses of the searches whose language models are compared, for one model."""
    run, config = run_of(at), paths.config
    entry = heads.entry_of(config, run)
    found = {name: config["searches"][name] for name in entry["lms"]}
    lms = {name: paths.lm(run.corpus, search["lm"], run.seed) for name, search in found.items() if search.get("lm")}
    options = {
        "model": paths.folder(run),
        "searches": found,
        "lms": {name: f"{paths.root}/{folder}" for name, folder in lms.items()},
        **asdict(read(TuningOptions, entry["tuning"], "tuning")),
        "seed": run.seed,
        **dev_options(paths, run.corpus),
    }
    files = [*paths.model(run.folder), *paths.dev(run.corpus)]
    for folder in lms.values():
        files += paths.model(folder)
    modules = {searches.module(search["type"]) for search in found.values()}
    modules |= {commands.lm_module(paths, search["lm"]) for search in found.values() if search.get("lm")}
    return Command("tune_lms", options, tuple(files), (*_modules(paths, run), *sorted(modules)))


def perplexity(paths: Paths, at: Any) -> Command:
    """What a language model makes of the texts that are decoded."""
    texts = {
        f"{split}/{language}": f"{paths.root}/data/{at.corpus}/{language}/{split}"
        for split in runs.splits(paths.config, at.corpus)
        for language in paths.languages(at.corpus)
    }
    folder, tokens = paths.lm(at.corpus, at.lm, at.seed), paths.tokens(at.corpus)
    options = {
        "lm": f"{paths.root}/{folder}",
        "tokens": tokens[0],
        "data": list(texts.values()),
        "names": list(texts),
        "device": paths.config["device"],
    }
    files = (*paths.model(folder), *tokens, *(f"{text}/text" for text in texts.values()))
    return Command("perplexity", options, files, (commands.lm_module(paths, at.lm),))


def _modules(paths: Paths, run: runs.ModelRun) -> tuple[str]:
    return (commands.model_module(paths, run.model),)


def _times(paths: Paths, run: runs.ModelRun, policies: list[str]) -> tuple[str, ...]:
    """The measured times that policies need; nothing for most."""
    return paths.of(heads.times_file(run)) if any(TIMES in needs(policy) for policy in policies) else ()


def _policies(names: list[str]) -> tuple[str, ...]:
    """The modules of policies, which commands import by name."""
    return tuple(POLICIES.named(name).module for name in names)
