"""The sections `layers` and `regularise`: layer pruning on demand, and regularisers that come late."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from secateur.decoding.search import runs
from secateur.layers.strategies import SIMILARITY, STRATEGIES, needs
from secateur.layers.study import hear_alike, trained_name, whole_depth
from secateur.models import types
from secateur.study.checks import begins, corpora_of, known_models, not_of_the_whole, taken, trained, unknown, untrained
from secateur.study.runs import DEV


def fill_schema(schema: dict[str, Any]) -> None:
    """Name the strategies, with their summaries, in the schema of a configuration, in place."""
    key = schema["properties"]["layers"]["items"]["properties"]["strategies"]
    STRATEGIES.describe(key, key["items"])
    key["default"] = STRATEGIES.usual()


def expand(config: dict[str, Any]) -> None:
    """Put an entry for each corpus in the place of one for all, and all depths in that of none.

    Raises SecateurError for a model that is not there.
    """
    known_models(config, "layers", "model")
    known_models(config, "regularise", "model", "scratch")
    for section in ("layers", "regularise"):
        config[section] = [
            entry | {"corpus": corpus} for entry in config[section] for corpus in corpora_of(config, entry)
        ]
    for entry in config["layers"]:
        part = config["models"][entry["model"]].get(entry["of"]) or {"layers": 1}
        entry["depths"] = sorted(entry["depths"] or range(1, part["layers"]), reverse=True)


def add_models(config: dict[str, Any]) -> None:
    """Make the models that are to be trained at a smaller depth entries of `models` and `dense`."""
    for entry in config["layers"]:
        whole = config["models"][entry["model"]]
        for depth in entry["trained"]:
            plain, regularised = (at_depth(whole, depth, kept) for kept in (False, True))
            for kept, model in ((False, plain), *([(True, regularised)] if regularised != plain else [])):
                name = trained_name(entry["model"], depth, kept)
                config["models"][name] = model | {"training": entry["trained_with"] or model["training"]}
                alone = {"corpus": entry["corpus"], "model": name, "scopes": ["all"], "searches": entry["searches"]}
                config["dense"].append(alone)


def at_depth(model: Mapping[str, Any], depth: int, regularised: bool) -> dict[str, Any]:
    """An entry of `models` with `depth` encoder layers, from random weights.

    With neither regulariser, or with both as the whole model has them: intermediate CTC at the same share of its depth,
    and stochastic depth, but with one layer, which it would skip.
    """
    model, layers = copy.deepcopy(dict(model)), model["encoder"]["layers"]
    model["encoder"]["layers"] = depth
    model.pop("start", None)  # another encoder
    if "stochastic_depth" in model and (not regularised or depth == 1):
        model["stochastic_depth"] = 0.0
    if intermediate := model.get("intermediate_ctc"):
        places = {round(layer * depth / layers) for layer in intermediate["layers"]} if regularised else set()
        intermediate["layers"] = sorted(place for place in places if 0 < place < depth)
        if not intermediate["layers"]:
            intermediate.pop("condition", None)
    return model


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong in these sections."""
    yield from _of_layers(config)
    yield from _of_regularise(config)


def _of_layers(config: Mapping[str, Any]) -> Iterator[str]:
    seen = []
    for index, entry in enumerate(config["layers"]):
        where, model = f"layers[{index}]", config["models"][entry["model"]]
        yield from _begins(config, where, entry)
        if wrong := list(_of_decoder(config, where, entry)):
            yield from wrong
            continue
        key = (entry["corpus"], entry["model"], entry["variant"], entry["of"])
        if key in seen:
            yield (
                f"{where}: a second entry for model {entry['model']!r} with of: {entry['of']}; allowed: one, and one "
                "for each `variant`"
            )
        seen.append(key)
        compare = [name for name in entry["strategies"] if SIMILARITY in needs(name)]
        if compare and not hear_alike(model["type"]):
            yield (
                f"{where}.strategies: {compare[0]!r} compares layers frame by frame, and those of "
                f"{entry['model']!r} hear different frames in encoder and decoder; leave it out"
            )
        layers = whole_depth(config, entry)
        for depth in entry["depths"]:
            if not 0 < depth < layers:
                yield f"{where}.depths: {depth}; allowed: 1 to {layers - 1}, {entry['model']!r} has {layers} layers"
        for depth in entry["trained"]:
            if depth not in entry["depths"]:
                depths = ", ".join(map(str, entry["depths"]))
                yield f"{where}.trained: {depth} is not among the depths; allowed: {depths}"
        if entry["trained"] and DEV not in config["decode"]["splits"]:
            text = f"allowed with {DEV!r} in decode.splits, on which a rival is chosen"
            yield f"{where}.trained: {entry['trained']}; {text}"
        if (training := entry["trained_with"]) and training not in config["training"]:
            yield unknown(f"{where}.trained_with", training, "training", config["training"])
        if entry["variant"]:
            variants = [
                variant["name"]
                for other in config["regularise"]
                if (other["corpus"], other["model"]) == (entry["corpus"], entry["model"])
                for variant in other["variants"]
            ]
            if entry["variant"] not in variants:
                yield unknown(f"{where}.variant", entry["variant"], f"regularise of {entry['model']!r}", variants)
            if entry["trained"]:
                yield f"{where}.trained: {entry['trained']}; allowed with `variant`: none"
        else:
            yield from not_of_the_whole(config, f"{where}.searches", entry, entry["searches"])


def _of_decoder(config: Mapping[str, Any], where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an entry that takes layers from a decoder."""
    name, known = entry["model"], config["searches"]
    if entry["of"] != types.DECODER:
        return
    if wrong := no_decoder(config, name):
        yield f"{where}.of: decoder; allowed: encoder, as {wrong}"
        return
    allowed = ", ".join(one for one, search in known.items() if runs(search["type"], types.DECODER)) or "none here"
    for search in entry["searches"]:
        if search in known and not runs(known[search]["type"], types.DECODER):
            yield (
                f"{where}.searches: {search!r} does not run the decoder of {name!r}, so its layers make no difference; "
                f"allowed: {allowed}"
            )
    for strategy in entry["strategies"]:
        if SIMILARITY in needs(strategy):
            yield (
                f"{where}.strategies: {strategy!r}; allowed for a decoder: those that need no similarity of layers, "
                "which is measured frame by frame"
            )
    if entry["trained"]:
        yield f"{where}.trained: {entry['trained']}; allowed with of: decoder: none"


def no_decoder(config: Mapping[str, Any], name: str) -> str:
    """Why a model has no decoder layers that go by themselves; "" if it has some."""
    model = config["models"][name]
    if types.GENERATE in types.parts(model["type"]):
        return f"the layers of {name!r} are numbered through, those of its decoder among them"
    return "" if model.get("decoder") else f"{name!r} has no attention decoder"


def _of_regularise(config: Mapping[str, Any]) -> Iterator[str]:
    seen = []
    for index, entry in enumerate(config["regularise"]):
        where, layers = f"regularise[{index}]", config["models"][entry["model"]]["encoder"]["layers"]
        yield from _begins(config, where, entry, late=True)
        if (entry["corpus"], entry["model"]) in seen:
            yield f"{where}: a second entry for model {entry['model']!r}; allowed: one, with more variants"
        seen.append((entry["corpus"], entry["model"]))
        dense = [other for other in config["dense"] if other["corpus"] == entry["corpus"]]
        if entry["scratch"] and not any(trained(other, entry["scratch"]) for other in dense):
            yield f"{where}.scratch: {entry['scratch']!r} is not in `dense` with scope `all`; train it"
        if (config["models"][entry["model"]].get("intermediate_ctc") or {}).get("condition"):
            yield (
                f"{where}.model: {entry['model']!r} is self-conditioned, so its inner heads cannot come and go; "
                "allowed: a model without intermediate_ctc.condition"
            )
        names = [variant["name"] for variant in entry["variants"]]
        for number, variant in enumerate(entry["variants"]):
            below = f"{where}.variants[{number}]"
            yield from taken(below, names, number)
            yield from untrained(config, below, variant)
            if variant["intermediate_ctc"].get("condition"):
                yield (
                    f"{below}.intermediate_ctc.condition: true; allowed: false, as that needs weights which the model "
                    "was trained without"
                )
            for layer in variant["intermediate_ctc"]["layers"]:
                if layer >= layers:
                    yield f"{below}.intermediate_ctc.layers: {layer}; allowed: 1 to {layers - 1}"
            if variant["flat"] and not variant["stochastic_depth"]:
                yield f"{below}.flat: true; allowed without stochastic depth: false"
            if variant["rise"] and not variant["intermediate_ctc"]["layers"]:
                yield f"{below}.rise: {variant['rise']}; allowed without intermediate CTC: 0"


def _begins(config: Mapping[str, Any], where: str, entry: Mapping[str, Any], late: bool = False) -> Iterator[str]:
    """What is wrong with the model that an entry begins with, and its searches; `late`: regularisers are put in."""
    kind = config["models"][entry["model"]]["type"]
    wanted = {types.CTC} if late else types.ORDERED
    fit = [name for name in types.TYPES.all() if wanted & {*types.parts(name)} and not (late and types.is_fixed(name))]
    if kind not in fit:
        yield f"{where}.model: {entry['model']!r} is of type {kind}; allowed: {', '.join(fit)}"
    if types.GENERATE in types.parts(kind) and not late:
        for strategy in entry["strategies"]:
            if "similarity" in needs(strategy):
                yield (
                    f"{where}.strategies: {strategy!r}; allowed with {entry['model']!r}: those that need no similarity "
                    "of layers, as its encoder's and its decoder's do not hear the same frames"
                )
    yield from begins(config, where, entry)
