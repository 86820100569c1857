"""What a schema cannot say of a configuration: names that refer to nothing, and impossible combinations.

Each part of a study has a module here with `expand(config)`, which replaces entries that stand for several, and
`problems(config)`, which then says what is wrong, one line each. `secateur.config.complete` calls both.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from secateur.core.errors import SecateurError
from secateur.decoding import search as registry
from secateur.models import types


def unknown(where: str, name: str, section: str, allowed) -> str:
    """What to say of the name of something that is not there."""
    names = ", ".join(allowed) or "nothing"
    return f"{where}: {name!r} is not in {section}{hint(name, allowed)}; allowed: {names}"


def hint(found: Any, allowed) -> str:
    """The allowed name that is most like the one found, if any is."""
    close = difflib.get_close_matches(str(found), [str(name) for name in allowed], 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def taken(where: str, names: Sequence[str], index: int) -> Iterator[str]:
    """A name that an earlier entry has."""
    if names.index(names[index]) != index:
        yield f"{where}.name: {names[index]!r} is taken; allowed: a name of its own"


def untrained(config: Mapping[str, Any], where: str, part: Mapping[str, Any]) -> Iterator[str]:
    """An entry of `training` that is not there, under the key `training`."""
    if part["training"] not in config["training"]:
        yield unknown(f"{where}.training", part["training"], "training", config["training"])


def unlike(config: Mapping[str, Any], key: str) -> Iterator[str]:
    """A model to start from, under the key `start`, that is not there or has another encoder.

    A model that no entry of `dense` trains may differ: a study laid over another replaces the models that it uses.
    """
    models = config["models"]
    model, where = models[key], f"models.{key}"
    name = model.get("start")
    if name is None or all(entry["model"] != key for entry in config["dense"]):
        return
    others = [other for other, begun in models.items() if "start" in begun and not begun["start"]]
    if name not in others:
        yield unknown(f"{where}.start", name, "the models of type ctc or hybrid that start from random weights", others)
        return
    ours = _shape(model)
    for part, value in _shape(models[name]).items():
        if ours[part] != value:
            yield f"{where}.{part}: {ours[part]!r}; allowed with start: {name}: {value!r}, as that has"


def _shape(model: Mapping[str, Any]) -> dict[str, Any]:
    """What decides which weights the encoder of a model of type ctc or hybrid has."""
    encoder = {f"encoder.{key}": value for key, value in model["encoder"].items() if not key.endswith("dropout")}
    return {"input": model["input"], "stack": model["stack"]} | encoder


def known_models(config: Mapping[str, Any], section: str, *keys: str) -> None:
    """Raise SecateurError if one of these keys of an entry of a section names no model."""
    models = config["models"]
    for index, entry in enumerate(config[section]):
        for key in keys:
            if entry[key] is not None and entry[key] not in models:
                raise SecateurError(unknown(f"{section}[{index}].{key}", entry[key], "models", models))


def corpora_of(config: Mapping[str, Any], entry: Mapping[str, Any]) -> list[str]:
    """The corpus of an entry; if it names none, those whose languages its model is trained on together."""
    if entry["corpus"]:
        return [entry["corpus"]]
    found = [dense["corpus"] for dense in config["dense"] if trained(dense, entry["model"])]
    return list(dict.fromkeys(corpus for corpus in found if corpus in config["corpora"]))


def trained(dense: Mapping[str, Any], model: str, scope: str = "all") -> bool:
    """Whether an entry of `dense` trains a model with a scope."""
    return dense["model"] == model and scope in dense["scopes"]


def unfit(config: Mapping[str, Any], where: str, model: str, searches: Sequence[str]) -> Iterator[str]:
    """Searches that cannot decode the type of a model."""
    if model not in config["models"]:
        return
    kind = config["models"][model]["type"]
    parts = types.parts(kind)
    fits = [name for name, other in config["searches"].items() if registry.part(other["type"]) in parts]
    for search in searches:
        if search in config["searches"] and search not in fits:
            allowed = ", ".join(fits) or "none of `searches`"
            yield f"{where}.searches: {search!r} does not fit models of type {kind}; allowed: {allowed}"


def begins(config: Mapping[str, Any], where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the corpus, the dense model and the searches of an entry."""
    if entry["corpus"] not in config["corpora"]:
        yield unknown(f"{where}.corpus", entry["corpus"], "corpora", config["corpora"])
        return
    dense = [other for other in config["dense"] if other["corpus"] == entry["corpus"]]
    if not any(trained(other, entry["model"]) for other in dense):
        yield f"{where}.model: {entry['model']!r} is not in `dense` with scope `all`; train it"
    for search in entry["searches"]:
        if search not in config["searches"]:
            yield unknown(f"{where}.searches", search, "searches", config["searches"])
    yield from unfit(config, where, entry["model"], entry["searches"])


def searches_of_the_whole(config: Mapping[str, Any], entry: Mapping[str, Any]) -> list[str]:
    """The searches that the dense model of an entry is decoded with; none if it is not there."""
    return next(
        (
            other["searches"] or config["decode"]["searches"]
            for other in config["dense"]
            if other["corpus"] == entry["corpus"] and trained(other, entry["model"])
        ),
        [],
    )


def not_of_the_whole(
    config: Mapping[str, Any], where: str, entry: Mapping[str, Any], searches: Sequence[str]
) -> Iterator[str]:
    """Searches that the whole model is not decoded with, which smaller ones are compared with."""
    decoded = searches_of_the_whole(config, entry)
    if any(search not in config["searches"] for search in decoded) or any(unfit(config, "", entry["model"], decoded)):
        return  # that is wrong by itself
    for search in searches:
        if search in config["searches"] and decoded and search not in decoded:
            yield (
                f"{where}: {search!r} is not a search of the whole model, smaller ones are compared with it; "
                f"allowed: {', '.join(decoded)}"
            )
