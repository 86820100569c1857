"""What a study measures of streaming (`streaming`), and where it goes. No heavy imports.

One job measures all models of an entry in turns, of the first seed, into `streaming/{corpus}/{model}`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.compose.study import bare_runs
from secateur.heads.study import checkpoints
from secateur.pruning import methods
from secateur.study.runs import ModelRun, model_runs

SYSTEMS, UTTERANCES = "systems.tsv", "utterances.tsv"


def members(config: Mapping[str, Any], entry: Mapping[str, Any]) -> list[ModelRun]:
    """The models of an entry, the dense one first: those that one network, under one mask at most, serves."""
    seed = config["seeds"][0]
    dense = ModelRun(entry["corpus"], entry["model"], "all", seed)
    found = [
        run
        for run in (*model_runs(config), *checkpoints(config), *bare_runs(config))
        if (run.corpus, run.model, run.scope, run.seed) == (entry["corpus"], entry["model"], "all", seed)
        and (entry["methods"] is None or run.method in entry["methods"])
        and _one_network(run)
    ]
    return list(dict.fromkeys([dense, *found]))


def _one_network(run: ModelRun) -> bool:
    parsed = methods.find(run.method)
    return parsed is None or parsed.method.masks != methods.BY_LANGUAGE


def entry_of(config: Mapping[str, Any], corpus: str, model: str) -> Mapping[str, Any]:
    """The entry of `streaming` about a model."""
    return next(entry for entry in config["streaming"] if (entry["corpus"], entry["model"]) == (corpus, model))


def file(entry: Mapping[str, Any], name: str = SYSTEMS) -> str:
    """What was measured, relative to the study's folder."""
    return f"streaming/{entry['corpus']}/{entry['model']}/{name}"


def entries(config: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], list[ModelRun]]]:
    """Every entry, with its models."""
    for entry in config.get("streaming", ()):
        yield entry, members(config, entry)
