"""The section `exits`: early exit by the heads of intermediate CTC."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from secateur.decoding import search as registry
from secateur.exits.options import ExitOptions
from secateur.models import types
from secateur.study.checks import begins, corpora_of, known_models, not_of_the_whole
from secateur.study.options import part

TRANSDUCERS = (
    ", whose joiner has learnt the last layer's output alone, and whose upper layers need keys and memory of all "
    "frames before, those that would have left among them"
)
"""Why there is no early exit from a streaming transducer."""


def expand(config: dict[str, Any]) -> None:
    """Put an entry for each corpus in the place of one for all, and the model's own exits and depths in that of none.

    Raises SecateurError for a model that is not there.
    """
    known_models(config, "exits", "model")
    config["exits"] = [entry | {"corpus": corpus} for entry in config["exits"] for corpus in corpora_of(config, entry)]
    for entry in config["exits"]:
        model = config["models"][entry["model"]]
        heads = (model.get("intermediate_ctc") or {}).get("layers", [])
        found = part(ExitOptions, entry, "exits").of_model(heads, model.get("encoder", {}).get("layers", 0))
        entry |= {key: value if value is None else list(value) for key, value in asdict(found).items()}


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong in this section."""
    seen = []
    for index, entry in enumerate(config["exits"]):
        where, model = f"exits[{index}]", config["models"][entry["model"]]
        if types.CTC not in types.parts(model["type"]) or "intermediate_ctc" not in model:
            fit = ", ".join(name for name, plugin in types.TYPES.all().items() if "intermediate_ctc" in plugin.options)
            why = TRANSDUCERS if types.JOINER in types.parts(model["type"]) else ""
            yield f"{where}.model: {entry['model']!r} is of type {model['type']}{why}; allowed: {fit}"
            continue
        yield from begins(config, where, entry)
        yield from not_of_the_whole(config, f"{where}.searches", entry, entry["searches"])
        if (entry["corpus"], entry["model"]) in seen:
            yield f"{where}: a second entry for model {entry['model']!r}; allowed: one"
        seen.append((entry["corpus"], entry["model"]))
        for search in entry["searches"]:
            known = config["searches"].get(search)
            if known and not (registry.is_greedy(known["type"]) and registry.part(known["type"]) == types.CTC):
                yield f"{where}.searches: {search!r} is of type {known['type']}; allowed: greedy CTC search"
        yield from _places(where, entry, model["encoder"]["layers"], model["intermediate_ctc"]["layers"])


def _places(where: str, entry: Mapping[str, Any], layers: int, heads: list[int]) -> Iterator[str]:
    """What is wrong with the exits of an entry, and the mean depths that it asks for."""
    if not entry["at"]:
        yield (
            f"{where}.model: {entry['model']!r} has no intermediate CTC, so none of its inner layers has learnt to "
            "answer; train it with intermediate_ctc.layers, name layers in `at`, or take the entry away (exits: [])"
        )
        return
    for layer in entry["at"]:
        if not 0 < layer < layers:
            yield f"{where}.at: {layer}; allowed: 1 to {layers - 1}, those with a head: {', '.join(map(str, heads))}"
    for depth in entry["mean_layers"]:
        if not entry["at"][0] <= depth <= layers:
            yield f"{where}.mean_layers: {depth:g}; allowed: {entry['at'][0]}, the first exit, to {layers}"
