"""The section `streaming`: transducers that are heard as they run."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.core.errors import SecateurError
from secateur.streaming.study import members
from secateur.study.checks import begins, corpora_of, known_models


def expand(config: dict[str, Any]) -> None:
    """Put an entry for each corpus in the place of one for all. Raises SecateurError for a model that is not there."""
    known_models(config, "streaming", "model")
    config["streaming"] = [
        entry | {"corpus": corpus} for entry in config["streaming"] for corpus in corpora_of(config, entry)
    ]


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong in this section."""
    seen = []
    for index, entry in enumerate(config["streaming"]):
        where, model = f"streaming[{index}]", config["models"][entry["model"]]
        if model["encoder"]["type"] != "emformer":
            yield (
                f"{where}.model: {entry['model']!r} is of type {model['type']} with an encoder of type "
                f"{model['encoder']['type']}; allowed: transducers with an emformer, which hears speech as it comes"
            )
            continue
        yield from begins(config, where, entry | {"searches": []})
        if (entry["corpus"], entry["model"]) in seen:
            yield f"{where}: a second entry for model {entry['model']!r}; allowed: one"
        seen.append((entry["corpus"], entry["model"]))
        for method in sorted({*(entry["methods"] or ())} - _made(config, entry)):
            yield f"{where}.methods: the study makes no {method!r} of {entry['model']!r} that all languages share"


def _made(config: Mapping[str, Any], entry: Mapping[str, Any]) -> set[str]:
    """Those of the methods of an entry that make a model; all if what makes models is wrong, which is said there."""
    try:
        return {run.method for run in members(config, entry)}
    except (KeyError, StopIteration, SecateurError):
        return {*(entry["methods"] or ())}
