"""What a study runs: its models, decodings and language models, and the folder of each.

This is the one place where a configuration becomes a list of runs and a run becomes a path. The workflow's rules and
the tables both enumerate a study through it, so a table can hold no row that the DAG did not make. No heavy imports.

The path of a result is its provenance, in the order in which the axes begin to matter:
`models/{corpus}/{model}/{scope}/{method}/s{permille}/seed{seed}/decode/{split}/{language}/{search}`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from secateur.speech.corpora import split_names

LEVEL_BY_LEVEL = ("imp", "lth", "lap", "imp-adaptive", "lth-adaptive")
ONCE = ("one-shot", "random")
DENSE_CONTROLS = ("finetune", "longer")
LATE = "late-"
"""Begins the method of a dense model that is trained on with regularisers it did not have before."""
HEADS, DEPTH = "heads-", "depth-"
"""Begin the steps that the method of a model without some of its heads or encoder layers is made of."""
THEN = "--"
"""Joins such steps: `depth-greedy-4--heads-global-500` lost layers first."""
RECOVERED = f"{THEN}recovered"
"""Ends the method of such a model that was trained on."""


@dataclass(frozen=True)
class ModelRun:
    """One trained (or pruned) model.

    Attributes:
        corpus, model: names of entries of the configuration.
        scope: `all`, one language, or several joined by `-`: the languages it is trained on.
        method: `dense`, the name of a pruning method (behind a `+`, the variant of its entry), or `late-` and the name
            of a variant of `regularise`, or what was removed (`HEADS`, `DEPTH`); part of the path.
        sparsity: target fraction of prunable weights that are zero.
        seed: the seed of every random choice in the run.
        initialization: what a pruning method starts from, for the tables; empty for `dense`.
        mask_changes: whether the mask may change within a level; None where there is no mask.
    """

    corpus: str
    model: str
    scope: str
    seed: int
    method: str = "dense"
    sparsity: float = 0.0
    initialization: str = ""
    mask_changes: bool | None = None

    @property
    def kind(self) -> str:
        """The method without its variant."""
        return self.method.partition("+")[0]

    @property
    def masked(self) -> bool:
        """Whether it was made by a pruning method (or a control of one), which leaves a mask."""
        return leaves_mask(self.method)

    @property
    def whole(self) -> "ModelRun":
        """The model that heads or layers were removed from; of any other model itself."""
        return replace(self, method="dense", initialization="") if self.method.startswith((HEADS, DEPTH)) else self

    @property
    def folder(self) -> str:
        """Folder of the run, relative to the study's results."""
        level = level_name(self.sparsity)
        return f"models/{self.corpus}/{self.model}/{self.scope}/{self.method}/{level}/seed{self.seed}"


@dataclass(frozen=True)
class Decoding:
    """One model decoded on one split of one language with one search."""

    run: ModelRun
    split: str
    language: str
    search: str

    @property
    def folder(self) -> str:
        return f"{self.run.folder}/decode/{self.split}/{self.language}/{self.search}"


def leaves_mask(method: str) -> bool:
    """Whether a method is unstructured pruning (or a control of it)."""
    return method != "dense" and not method.startswith((LATE, HEADS, DEPTH))


def level_name(sparsity: float) -> str:
    """How a sparsity stands in a path: three digits of per mille, `s700`."""
    return f"s{round(sparsity * 1000):03d}"


def languages(config: Mapping[str, Any], corpus: str, scope: str) -> list[str]:
    """The languages of a scope of a corpus, in the order of the configuration."""
    known = config["corpora"][corpus]["languages"]
    return list(known) if scope == "all" else [language for language in known if language in scope.split("-")]


def scope_of(config: Mapping[str, Any], corpus: str, chosen: Collection[str]) -> str:
    """The scope of some languages of a corpus: `all` if these are all."""
    known = config["corpora"][corpus]["languages"]
    return "all" if set(chosen) == set(known) else "-".join(name for name in known if name in chosen)


def model_runs(config: Mapping[str, Any]) -> Iterator[ModelRun]:
    """Every model that the study's tables have a row for, each once."""
    runs: dict[ModelRun, None] = {}
    for entry in config["dense"]:
        corpus = entry["corpus"]
        for scope in entry["scopes"]:
            for name in config["corpora"][corpus]["languages"] if scope == "each" else [scope]:
                for seed in config["seeds"]:
                    runs[ModelRun(corpus, entry["model"], name, seed)] = None
    for entry in config["prune"]:
        for seed in config["seeds"]:
            runs |= dict.fromkeys(pruned_runs(config, entry, seed))
    for entry in config["regularise"]:
        for variant in entry["variants"]:
            for seed in config["seeds"]:
                runs[late_run(entry, variant["name"], seed)] = None
    for entry in config["heads"]:
        for seed in config["seeds"]:
            runs |= dict.fromkeys(smaller_run(entry, method + RECOVERED, seed) for method in recovered(entry))
    yield from runs


def used_corpora(config: Mapping[str, Any]) -> list[str]:
    """The corpora that models and self-supervised encoders are trained on."""
    names = [run.corpus for run in model_runs(config)] + [entry["corpus"] for entry in config["ssl"]]
    return list(dict.fromkeys(names))


def late_run(entry: Mapping[str, Any], variant: str, seed: int) -> ModelRun:
    """The model of a variant of an entry of `regularise`."""
    return ModelRun(entry["corpus"], entry["model"], "all", seed, LATE + variant, initialization="dense")


def smaller_run(entry: Mapping[str, Any], method: str, seed: int) -> ModelRun:
    """A model of an entry of `heads` that lost heads or layers."""
    return ModelRun(entry["corpus"], entry["model"], "all", seed, method, initialization="dense")


def heads_step(policy: str, share: float) -> str:
    """The step of a method that removes a share of the heads."""
    return f"{HEADS}{policy}-{round(share * 1000)}"


def combined(entry: Mapping[str, Any]) -> list[str]:
    """The methods that an entry of `heads` combines: layers alone, heads alone, layers first, heads first."""
    if not (chosen := entry["combine"]):
        return []
    depth = f"{DEPTH}{chosen['strategy']}-{chosen['depth']}"
    heads = heads_step(chosen["policy"], chosen["share"])
    return [depth, heads, depth + THEN + heads, heads + THEN + depth]


def recovered(entry: Mapping[str, Any]) -> list[str]:
    """The methods of an entry of `heads` whose models are trained on."""
    if not (recovery := entry["recovery"]):
        return []
    alone = [heads_step(policy, share) for policy in recovery["policies"] for share in recovery["shares"]]
    both = combined(entry) if entry["combine"] and entry["combine"]["recovery"] else []
    return list(dict.fromkeys(alone + both))


def pruned_runs(config: Mapping[str, Any], entry: Mapping[str, Any], seed: int) -> Iterator[ModelRun]:
    """The pruned models of one entry of `prune`: every level of its methods, and its pathways at the target."""
    levels = config["pruning"][entry["schedule"]]["levels"]
    variant = f"+{entry['variant']}" if entry["variant"] else ""
    for method in entry["methods"]:
        scopes = ["all"] if method == "lap" else config["corpora"][entry["corpus"]]["languages"]
        for scope in scopes:
            for sparsity in levels if method in LEVEL_BY_LEVEL else levels[-1:] if method in ONCE else [0.0]:
                yield ModelRun(
                    corpus=entry["corpus"],
                    model=entry["model"],
                    scope=scope,
                    seed=seed,
                    method=method + variant,
                    sparsity=sparsity,
                    initialization="dense",
                    mask_changes=method.endswith("-adaptive") if sparsity else None,
                )
    for pathways in entry["pathways"]:
        for masks, sparsity in pathways["start"]:
            kind = "dynamic" if pathways["dynamic"] else "pathways"
            yield ModelRun(
                corpus=entry["corpus"],
                model=entry["model"],
                scope=scope_of(config, entry["corpus"], pathways["languages"]),
                seed=seed,
                method=f"{kind}-{masks}-{level_name(sparsity)}{variant}",
                sparsity=levels[-1] if pathways["dynamic"] else sparsity,
                initialization=f"{masks.upper()}-{100 * sparsity:g}%",
                mask_changes=pathways["dynamic"],
            )


@dataclass(frozen=True)
class Parents:
    """What a pruned model is made from.

    Attributes:
        start: model whose weights training starts from.
        ranked: model whose weights are ranked for the mask; None for pathways.
        nested: whether the mask stays within that of `ranked`.
        masks: for pathways, the model that each language's mask comes from.
        levels: how many levels' steps it is trained for.
        sparsities: of dynamic pathways: those that the masks go through; none for other models.
    """

    start: ModelRun
    ranked: ModelRun | None = None
    nested: bool = False
    masks: Mapping[str, ModelRun] = field(default_factory=dict)
    levels: int = 1
    sparsities: Sequence[float] = ()

    @property
    def before(self) -> ModelRun:
        """The model whose training comes just before, along one chain: of pathways the first mask's."""
        return self.ranked or next(iter(self.masks.values()), self.start)


def parents(config: Mapping[str, Any], run: ModelRun) -> Parents | None:
    """What a model is made from; None for a dense one, which is made from data alone."""
    if run.method == "dense":
        return None

    dense = ModelRun(run.corpus, run.model, "all", run.seed)
    if not run.masked:
        return Parents(dense, dense)
    variant = run.method.removeprefix(run.kind)

    def other(scope: str, method: str, sparsity: float) -> ModelRun:
        return ModelRun(run.corpus, run.model, scope, run.seed, method + variant, sparsity)

    levels = config["pruning"][prune_entry(config, run)["schedule"]]["levels"]
    if run.kind in DENSE_CONTROLS:
        return Parents(dense, dense, levels=len(levels) + 1 if run.kind == "longer" else 1)
    kind, _, start = run.kind.partition("-")
    if kind in ("pathways", "dynamic"):
        masks, _, level = start.partition("-s")
        sparsity = int(level) / 1000
        scopes = {name: "all" if masks == "lap" else name for name in languages(config, run.corpus, run.scope)}
        sparsities = [level for level in levels if level >= sparsity] if kind == "dynamic" else []
        return Parents(
            dense,
            masks={name: other(scope, masks, sparsity) for name, scope in scopes.items()},
            levels=len(sparsities) or 1,
            sparsities=sparsities,
        )
    index = [level_name(level) for level in levels].index(level_name(run.sparsity))
    if index == 0 or run.kind in ONCE:
        before = other(run.scope, "finetune", 0.0)
    else:
        before = other(run.scope, run.kind, levels[index - 1])
    return Parents(dense if kind == "lth" else before, before, nested=run.kind in ("imp", "lth", "lap"))


def start(config: Mapping[str, Any], run: ModelRun) -> ModelRun | None:
    """The dense model whose trained weights a dense model starts from, as far as both have the same parts."""
    name = config["models"][run.model].get("start") if run.method == "dense" else None
    return ModelRun(run.corpus, name, run.scope, run.seed) if name else None


def recipe(config: Mapping[str, Any], run: ModelRun) -> str:
    """The entry of `training` by which a model is trained; if it goes through levels, by which each of them is."""
    if run.method == "dense":
        return config["models"][run.model]["training"]
    if run.method.startswith(LATE):
        return late_variant(config, run)["training"]
    if not run.masked:
        return heads_entry(config, run)["recovery"]["training"]
    return config["pruning"][prune_entry(config, run)["schedule"]]["training"]


def steps(config: Mapping[str, Any], run: ModelRun) -> int:
    """Optimiser steps that the job which makes a model runs."""
    made_from = parents(config, run)
    return config["training"][recipe(config, run)]["steps"] * (made_from.levels if made_from else 1)


def steps_before(config: Mapping[str, Any], run: ModelRun) -> int:
    """Optimiser steps that lead to what a model is made from, along one chain from random weights on."""
    made_from = parents(config, run)
    before = made_from.before if made_from else start(config, run)
    return steps_before(config, before) + steps(config, before) if before else 0


def ancestors(config: Mapping[str, Any], run: ModelRun) -> dict[str, ModelRun]:
    """A model and all that it is made from, by folder."""
    found = {run.folder: run}
    made_from = parents(config, run)
    parts = (made_from.start, made_from.ranked, *made_from.masks.values()) if made_from else (start(config, run),)
    for parent in filter(None, parts):
        found |= ancestors(config, parent)
    return found


def steps_to_come(config: Mapping[str, Any]) -> dict[str, int]:
    """Optimiser steps of the longest chain of trainings that begins with each model's own, by folder.

    The more there are, the sooner a model should be trained, or all else is done when its descendants only begin.
    """
    runs: dict[str, ModelRun] = {}
    for run in model_runs(config):
        runs |= ancestors(config, run)
    children: dict[str, list[str]] = {folder: [] for folder in runs}
    for folder, run in runs.items():
        for parent in ancestors(config, run):
            if parent != folder:
                children[parent].append(folder)
    longest: dict[str, int] = {}

    def chain(folder: str) -> int:
        if folder not in longest:
            longest[folder] = steps(config, runs[folder]) + max(map(chain, children[folder]), default=0)
        return longest[folder]

    for folder in runs:
        chain(folder)
    return longest


def shape(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that decides which models there are, and nothing else."""
    corpora = {name: {"languages": corpus["languages"]} for name, corpus in config["corpora"].items()}
    pruning = {name: {"levels": schedule["levels"]} for name, schedule in config["pruning"].items()}
    late = [
        {
            "corpus": entry["corpus"],
            "model": entry["model"],
            "variants": [{"name": one["name"]} for one in entry["variants"]],
        }
        for entry in config["regularise"]
    ]
    heads = [{key: entry[key] for key in ("corpus", "model", "recovery", "combine")} for entry in config["heads"]]
    entries = {key: config[key] for key in ("seeds", "dense", "prune")}
    return entries | {"corpora": corpora, "pruning": pruning, "regularise": late, "heads": heads}


def decodings(config: Mapping[str, Any]) -> Iterator[Decoding]:
    """Every decoding that the study's tables have a row for."""
    for run in model_runs(config):
        for split in splits(config, run.corpus):
            for language in languages(config, run.corpus, run.scope):
                for search in searches(config, run):
                    yield Decoding(run, split, language, search)


def splits(config: Mapping[str, Any], corpus: str) -> list[str]:
    """The splits to decode that a corpus has."""
    known = split_names(config["corpora"][corpus])
    return [split for split in config["decode"]["splits"] if split in known]


def searches(config: Mapping[str, Any], run: ModelRun) -> list[str]:
    """Names of the searches that a model is decoded with; pruned models may have fewer, and some types their own."""
    if run.method.startswith(LATE):
        return list(regularise_entry(config, run)["searches"])
    if not run.masked and run.method != "dense":
        return list(heads_entry(config, run)["searches"])
    if run.method != "dense":
        return list(prune_entry(config, run)["searches"])
    for entry in config["dense"]:
        if (entry["corpus"], entry["model"]) == (run.corpus, run.model) and entry.get("searches"):
            return list(entry["searches"])
    return list(config["decode"]["searches"])


def prune_entry(config: Mapping[str, Any], run: ModelRun) -> Mapping[str, Any]:
    """The entry of `prune` that a pruned model belongs to."""
    wanted = (run.corpus, run.model, run.method.partition("+")[2] or None)
    return next(entry for entry in config["prune"] if (entry["corpus"], entry["model"], entry["variant"]) == wanted)


def regularise_entry(config: Mapping[str, Any], run: ModelRun) -> Mapping[str, Any]:
    """The entry of `regularise` that a model trained on with regularisers belongs to."""
    wanted = run.corpus, run.model
    return next(entry for entry in config["regularise"] if (entry["corpus"], entry["model"]) == wanted)


def heads_entry(config: Mapping[str, Any], run: ModelRun) -> Mapping[str, Any]:
    """The entry of `heads` that is about a model, whole or smaller."""
    wanted = run.corpus, run.model
    return next(entry for entry in config["heads"] if (entry["corpus"], entry["model"]) == wanted)


def late_variant(config: Mapping[str, Any], run: ModelRun) -> Mapping[str, Any]:
    """The variant of its entry of `regularise` that a model is."""
    variants = regularise_entry(config, run)["variants"]
    return next(variant for variant in variants if LATE + variant["name"] == run.method)


def lm_folder(corpus: str, lm: str, seed: int) -> str:
    """Folder of a language model, relative to the study's results. It is trained on all languages of the corpus."""
    return f"lm/{corpus}/{lm}/seed{seed}"
