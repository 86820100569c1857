"""What a study runs: its models, decodings and language models, and the folder of each.

This is the one place where a configuration becomes a list of runs and a run becomes a path. The workflow's rules and
the tables both enumerate a study through it, so a table can hold no row that the DAG did not make. No heavy imports.

The path of a result is its provenance, in the order in which the axes begin to matter:
`models/{corpus}/{model}/{scope}/{method}/s{permille}/seed{seed}/decode/{split}/{language}/{search}`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelRun:
    """One trained (or pruned) model.

    Attributes:
        corpus, model: names of entries of the configuration.
        scope: `all`, one language, or several joined by `-`: the languages it is trained on.
        method: `dense`, or the name of a pruning method; part of the path.
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
    def folder(self) -> str:
        """Folder of the run, relative to the study's results."""
        level = f"s{round(self.sparsity * 1000):03d}"
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


def languages(config: Mapping[str, Any], corpus: str, scope: str) -> list[str]:
    """The languages of a scope of a corpus, in the order of the configuration."""
    known = config["corpora"][corpus]["languages"]
    return list(known) if scope == "all" else [language for language in known if language in scope.split("-")]


def model_runs(config: Mapping[str, Any]) -> Iterator[ModelRun]:
    """Every model that the study's tables have a row for."""
    for entry in config["dense"]:
        corpus = entry["corpus"]
        for scope in entry["scopes"]:
            names = config["corpora"][corpus]["languages"] if scope == "each" else [scope]
            for name in names:
                for seed in config["seeds"]:
                    yield ModelRun(corpus, entry["model"], name, seed)


def decodings(config: Mapping[str, Any]) -> Iterator[Decoding]:
    """Every decoding that the study's tables have a row for."""
    for run in model_runs(config):
        for split in config["decode"]["splits"]:
            for language in languages(config, run.corpus, run.scope):
                for search in searches(config, run):
                    yield Decoding(run, split, language, search)


def searches(config: Mapping[str, Any], run: ModelRun) -> list[str]:
    """Names of the searches that a model is decoded with."""
    return list(config["decode"]["searches"])


def lm_folder(corpus: str, lm: str, seed: int) -> str:
    """Folder of a language model, relative to the study's results. It is trained on all languages of the corpus."""
    return f"lm/{corpus}/{lm}/seed{seed}"
