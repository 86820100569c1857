"""The section `export`: models as ONNX files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.decoding import search as registry
from secateur.exported.study import runs
from secateur.models import types
from secateur.study.checks import begins, corpora_of, known_models, not_of_the_whole, searches_of_the_whole


def expand(config: dict[str, Any]) -> None:
    """Put an entry for each corpus in the place of one for all, without the searches that one of them lacks.

    Raises SecateurError for a model that is not there.
    """
    known_models(config, "export", "model")
    config["export"] = [
        _spelled_out(config, entry, corpus) for entry in config["export"] for corpus in corpora_of(config, entry)
    ]


def _spelled_out(config: Mapping[str, Any], entry: Mapping[str, Any], corpus: str) -> dict[str, Any]:
    spelled = {**entry, "corpus": corpus}
    if not entry["corpus"]:
        decoded = searches_of_the_whole(config, spelled)
        left = [name for name in entry["searches"] if name in decoded or name not in config["searches"]]
        spelled["searches"] = left or entry["searches"]
    return spelled


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong in this section."""
    for name, file in config["timing"]["targets"].items():
        if not Path(file).is_file():
            yield f"timing.targets.{name}: {file} is no file; run `run.py` of a bundle there, and copy its times.tsv"
    seen = []
    for index, entry in enumerate(config["export"]):
        where, model = f"export[{index}]", config["models"][entry["model"]]
        if types.CTC not in types.parts(model["type"]) or model["encoder"]["type"] == "emformer":
            yield (
                f"{where}.model: {entry['model']!r} is of type {model['type']} with an encoder of type "
                f"{model['encoder']['type']}; allowed: models with a CTC head that hear all of the speech at once"
            )
            continue
        yield from begins(config, where, entry)
        yield from not_of_the_whole(config, f"{where}.searches", entry, entry["searches"])
        if (entry["corpus"], entry["model"]) in seen:
            yield f"{where}: a second entry for model {entry['model']!r}; allowed: one, with more methods"
        seen.append((entry["corpus"], entry["model"]))
        for search in entry["searches"]:
            known = config["searches"].get(search)
            if known and model.get("decoder") and registry.runs(known["type"], "decoder"):
                yield f"{where}.searches: {search!r} runs the decoder of {entry['model']!r}, which is not exported"
        for method in sorted({*entry["methods"]} - _made(config, entry)):
            yield f"{where}.methods: the study makes no {method!r} of {entry['model']!r} for all languages together"


def _made(config: Mapping[str, Any], entry: Mapping[str, Any]) -> set[str]:
    """Those of the methods of an entry that make a model; all if what makes models is wrong, which is said there."""
    try:
        return {run.method for other, run in runs(config) if other is entry}
    except (KeyError, StopIteration, SecateurError):
        return {*entry["methods"]}
