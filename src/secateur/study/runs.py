"""What a study runs: its models, decodings and language models, and the folder of each.

This is the one place where a configuration becomes a list of runs and a run becomes a path. The workflow's rules and
the tables both enumerate a study through it, so a table can hold no row that the DAG did not make. No heavy imports.

The path of a result is its provenance, in the order in which the axes begin to matter:
`models/{corpus}/{model}/{scope}/{method}/s{permille}/seed{seed}/decode/{search}`.
"""

import importlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from secateur.core.errors import SecateurError
from secateur.speech import conditions
from secateur.speech.corpora import split_names

DEV = "dev"
"""The split that systems are chosen on."""
KINDS = tuple(f"secateur.{name}.study" for name in ("pruning", "layers", "exits", "heads", "compose", "exported"))
"""Modules with a `KIND`: models that are made from dense ones."""


@dataclass(frozen=True)
class ModelRun:
    """One trained (or pruned) model.

    Attributes:
        corpus, model: names of entries of the configuration.
        scope: `all`, one language, or several joined by `-`: the languages it is trained on.
        method: `dense`, or how a model is made from a dense one, as a module of `KINDS` understands it (behind a `+`,
            the variant of an entry); part of the path.
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
    def whole(self) -> "ModelRun":
        """The model that heads or layers were removed from; of any other model itself."""
        return kind_of(self.method).whole(self)

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
        """Folder of the decoding, which has the other splits and languages of the model, too."""
        return f"{self.run.folder}/decode/{self.search}"


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
    yield from dict.fromkeys(run for kind in (DENSE, *kinds()) for run in kind.runs(config))


def used_corpora(config: Mapping[str, Any]) -> list[str]:
    """The corpora that models and self-supervised encoders are trained on."""
    names = [run.corpus for run in model_runs(config)] + [entry["corpus"] for entry in config["ssl"]]
    return list(dict.fromkeys(names))


@dataclass(frozen=True)
class Timed:
    """What is timed of a model with one search: the model itself, and parts of it (see `secateur.study.timing`).

    Attributes:
        run: the model.
        search: name of the search.
        heads: file of sets of heads, without each of which it is timed; empty for none.
        layers: file that says which layers are kept at `depths`, the numbers of layers that it is timed with.
        decoder_layers, decoder_depths: likewise, of its decoder.
        exits: file with the points at which it is left early, at each of which it is timed; empty for none.
        onnx: file with the formats that it is exported in, in each of which it is timed; empty for none.
    """

    run: ModelRun
    search: str
    heads: str = ""
    layers: str = ""
    depths: tuple[int, ...] = ()
    decoder_layers: str = ""
    decoder_depths: tuple[int, ...] = ()
    exits: str = ""
    onnx: str = ""


@dataclass(frozen=True)
class Parents:
    """What a pruned model is made from.

    Attributes:
        start: model whose weights training starts from.
        ranked: model whose weights are ranked for the mask; None where none are.
        nested: whether the mask stays within that of `ranked`.
        masks: for pathways, the model that each language's mask comes from.
        levels: how many levels' steps it is trained for.
        languages: how many languages share these steps, where the steps of `training` are those of a language; else 1.
        sparsities: of dynamic pathways: those that the masks go through; none for other models.
    """

    start: ModelRun
    ranked: ModelRun | None = None
    nested: bool = False
    masks: Mapping[str, ModelRun] = field(default_factory=dict)
    levels: int = 1
    languages: int = 1
    sparsities: Sequence[float] = ()

    @property
    def parent(self) -> ModelRun:
        """The model whose training comes just before, along one chain: of pathways the first mask's."""
        return self.ranked or next(iter(self.masks.values()), self.start)


@dataclass(frozen=True)
class Kind:
    """Models that one section of a study makes from dense ones: which there are, and what each is made of.

    Attributes:
        owns: whether the `method` of a run is of this kind.
        runs: every model that the study's tables have a row for.
        parents: what a model is made from.
        training: the entry of `training` by which a model is trained; if it goes through levels, by which each of them.
        searches: names of the searches that a model is decoded with.
        shape: the part of a configuration that decides which models there are.
        masks: whether a method leaves masks, which its model is decoded under.
        trials: how often the job that makes a model trains it, of which one training counts.
        whole: see `ModelRun.whole`.
        timed: what is timed because of this section; what computes the same as a dense model is left out.
        tuned: the file with what was tuned of a search for a model; "" for most.
        relatives: the model that one is timed beside, by (corpus, name of the model); all others are by themselves.
    """

    owns: Callable[[str], bool]
    runs: Callable[[Mapping[str, Any]], Iterator[ModelRun]]
    parents: Callable[[Mapping[str, Any], ModelRun], Parents | None]
    training: Callable[[Mapping[str, Any], ModelRun], str]
    searches: Callable[[Mapping[str, Any], ModelRun], list[str]]
    shape: Callable[[Mapping[str, Any]], dict[str, Any]]
    masks: Callable[[str], bool] = lambda method: False
    trials: Callable[[Mapping[str, Any], ModelRun], int] = lambda config, run: 1
    whole: Callable[[ModelRun], ModelRun] = lambda run: run
    timed: Callable[[Mapping[str, Any]], Iterator[Timed]] = lambda config: iter(())
    tuned: Callable[[Mapping[str, Any], ModelRun, str], str] = lambda config, run, search: ""
    relatives: Callable[[Mapping[str, Any]], dict[tuple[str, str], str]] = lambda config: {}


@cache
def kinds() -> tuple[Kind, ...]:
    """The kinds of models that are made from dense ones. Found by name, so that this module knows none of them."""
    return tuple(importlib.import_module(name).KIND for name in KINDS)


@cache
def kind_of(method: str) -> Kind:
    """The kind of a model by its method. Raises SecateurError if nothing makes such a model."""
    for kind in (DENSE, *kinds()):
        if kind.owns(method):
            return kind
    raise SecateurError(f"method {method!r}: no section of a study makes such a model")


def parents(config: Mapping[str, Any], run: ModelRun) -> Parents | None:
    """What a model is made from; None for a dense one, which is made from data alone."""
    return kind_of(run.method).parents(config, run)


def start(config: Mapping[str, Any], run: ModelRun) -> ModelRun | None:
    """The dense model whose trained weights a dense model starts from, as far as both have the same parts."""
    name = config["models"][run.model].get("start") if run.method == "dense" else None
    return ModelRun(run.corpus, name, run.scope, run.seed) if name else None


def training_of(config: Mapping[str, Any], run: ModelRun) -> str:
    """The entry of `training` by which a model is trained; if it goes through levels, by which each of them is."""
    return kind_of(run.method).training(config, run)


def steps(config: Mapping[str, Any], run: ModelRun) -> int:
    """Optimiser steps of the job that makes a model; of one that tries several rates, those of one trial."""
    made_from = parents(config, run)
    times = made_from.levels * made_from.languages if made_from else 1
    return config["training"][training_of(config, run)]["steps"] * times


def steps_of_job(config: Mapping[str, Any], run: ModelRun) -> int:
    """Optimiser steps that the job which makes a model runs, all its trials together."""
    return steps(config, run) * kind_of(run.method).trials(config, run)


def steps_before(config: Mapping[str, Any], run: ModelRun) -> int:
    """Optimiser steps that lead to what a model is made from, along one chain from random weights on.

    Of a model from a folder they are those that its record has.
    """
    made_from = parents(config, run)
    before = made_from.parent if made_from else start(config, run)
    if before:
        return steps_before(config, before) + steps(config, before)
    return 0 if made_from else config["models"].get(run.model, {}).get("own", {}).get("steps", 0)


def shape(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that decides which models there are, and nothing else."""
    corpora = {name: {"languages": corpus["languages"]} for name, corpus in config["corpora"].items()}
    found: dict[str, Any] = {"corpora": corpora}
    for kind in (DENSE, *kinds()):
        found |= kind.shape(config)
    return found


def decodings(config: Mapping[str, Any]) -> Iterator[Decoding]:
    """Every decoding that the study's tables have a row for."""
    for run in model_runs(config):
        for split in splits(config, run.corpus, narrow=True):
            for language in languages(config, run.corpus, run.scope):
                for search in searches(config, run):
                    if asked(config, split, language, search):
                        yield Decoding(run, split, language, search)


def splits(config: Mapping[str, Any], corpus: str, narrow: bool = False) -> list[str]:
    """The splits to decode that a corpus has, and those that are made of them.

    Args:
        narrow: whether also those that are asked for in some languages or by some searches alone, see `asked`: models
            with checkpoints of their own are decoded on these, sub-models are not.
    """
    known = split_names(config["corpora"][corpus])
    made = [name for split in known for name in conditions.names(config, split, narrow)]
    known += [name for name in made if config["conditions"][name].get("corpus") != corpus]  # it is the test set itself
    return [split for split in config["decode"]["splits"] if split in known]


def asked(config: Mapping[str, Any], split: str, language: str, search: str) -> bool:
    """Whether a split is to be decoded in a language by a search: all are, but for narrow conditions."""
    entry = config.get("conditions", {}).get(split, {})
    return language in (entry.get("languages") or [language]) and search in (entry.get("searches") or [search])


def reported_splits(config: Mapping[str, Any], corpus: str) -> list[str]:
    """The splits whose error rates are reported: all but `DEV`, which systems are chosen on, if there are others."""
    found = splits(config, corpus)
    return [split for split in found if split != DEV] or found


def searches(config: Mapping[str, Any], run: ModelRun) -> list[str]:
    """Names of the searches that a model is decoded with; pruned models may have fewer, and some types their own."""
    return list(kind_of(run.method).searches(config, run))


def tuned(config: Mapping[str, Any], run: ModelRun, search: str) -> str:
    """The file with the LM weight and length bonus that were tuned of a search for a model; "" if none were."""
    return next(filter(None, (kind.tuned(config, run, search) for kind in kinds())), "")


def leaves_masks(run: ModelRun) -> bool:
    """Whether a model has masks, which it is decoded under."""
    return kind_of(run.method).masks(run.method)


def _dense_runs(config: Mapping[str, Any]) -> Iterator[ModelRun]:
    for entry in config["dense"]:
        corpus = entry["corpus"]
        for scope in entry["scopes"]:
            for name in config["corpora"][corpus]["languages"] if scope == "each" else [scope]:
                for seed in config["seeds"]:
                    yield ModelRun(corpus, entry["model"], name, seed)


def _dense_timed(config: Mapping[str, Any]) -> Iterator[Timed]:
    """One model of each architecture and corpus: that of all languages, if there is one, on the first seed."""
    chosen: dict[tuple[str, str], ModelRun] = {}
    for run in _dense_runs(config):
        if run.seed == config["seeds"][0] and (run.scope == "all" or (run.corpus, run.model) not in chosen):
            chosen[run.corpus, run.model] = run
    for run in chosen.values():
        yield from (Timed(run, search) for search in _dense_searches(config, run))


def _dense_searches(config: Mapping[str, Any], run: ModelRun) -> list[str]:
    for entry in config["dense"]:
        if (entry["corpus"], entry["model"]) == (run.corpus, run.model) and entry.get("searches"):
            return entry["searches"]
    return config["decode"]["searches"]


DENSE = Kind(
    owns=lambda method: method == "dense",
    runs=_dense_runs,
    parents=lambda config, run: None,
    training=lambda config, run: config["models"][run.model]["training"],
    searches=_dense_searches,
    timed=_dense_timed,
    shape=lambda config: {key: config[key] for key in ("seeds", "dense")},
)


def lm_folder(corpus: str, lm: str, seed: int) -> str:
    """Folder of a language model, relative to the study's results. It is trained on all languages of the corpus."""
    return f"lm/{corpus}/{lm}/seed{seed}"


LEXICON, LEXICONS = "lexicon/", "lexicons"
"""Where a system that is handed over has it, and where those of a study are."""


def lexicon_folder(corpus: str, search: str) -> str:
    """Folder of what a search makes of the training text of a corpus, relative to the study's results."""
    return f"{LEXICONS}/{corpus}/{search}"
