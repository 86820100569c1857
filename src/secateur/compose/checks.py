"""The section `compose`: chains of steps, and which of them make sense."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from secateur.compose.options import Step
from secateur.compose.study import (
    CHANNELS,
    COMPOSED,
    HEADS,
    INT8,
    LAYERS,
    MASK,
    RECOVER,
    STEPS,
    THEN,
    chains_of,
    kind_of,
    step_name,
)
from secateur.core.errors import SecateurError
from secateur.decoding.search import runs
from secateur.heads.policies import POLICIES, TIMES
from secateur.heads.policies import needs as policy_needs
from secateur.layers.checks import no_decoder
from secateur.layers.strategies import SIMILARITY, STRATEGIES, needs
from secateur.models import types
from secateur.pruning import methods
from secateur.study.checks import begins, corpora_of, known_models, not_of_the_whole, unknown

FRONT_END = "conv2d"


def fill_schema(schema: dict[str, Any]) -> None:
    """Name the strategies, policies and methods in the schema of a configuration, in place."""
    step = schema["$defs"]["step"]["properties"]
    STRATEGIES.describe(step["strategy"], step["strategy"])
    step["policy"]["enum"] = [name for name in POLICIES.names() if TIMES not in policy_needs(name)]
    step["mask"]["enum"] = [*_masks(), None]


def _masks() -> list[str]:
    """The methods that a chain may take a mask from: one mask, at once, of the weights as they are."""
    found = methods.registry().values()
    return [one.name for one in found if one.masks == methods.ONE and not one.adapts and not one.from_masks]


def expand(config: dict[str, Any]) -> None:
    """Put an entry for each corpus in the place of one for all, and the first of `pruning` where a mask names none.

    Raises SecateurError for a model that is not there.
    """
    known_models(config, "compose", "model")
    config["compose"] = [
        entry | {"corpus": corpus} for entry in config["compose"] for corpus in corpora_of(config, entry)
    ]
    for entry in config["compose"]:
        _export_ends(config, entry)
        steps = [step for chain in entry["chains"] for step in chain]
        for step in steps:
            if step[MASK] is not None and step["schedule"] is None:
                step["schedule"] = next(iter(config["pruning"]), None)
        # What importances are estimated with (`secateur.heads.study.estimated`).
        entry["again"], entry["shares"] = None, sorted({step[HEADS] for step in steps if step[HEADS] is not None})


def _export_ends(config: dict[str, Any], entry: dict[str, Any]) -> None:
    """Take a last step `int8` from every chain, and make `export` write and decode what the chain makes."""
    chains, methods = [], []
    for chain, steps in zip(entry["chains"], chains_of(entry), strict=True):
        ends = len(chain) > 1 and steps[-1].int8 and all(getattr(steps[-1], kind) is None for kind in STEPS)
        with suppress(SecateurError):  # of a step that lacks something, which `problems` says
            methods += [THEN.join([COMPOSED, *map(step_name, steps[:-1])])] if ends else []
        if not ends:
            chains.append(chain)
        elif chain[:-1] not in entry["chains"]:
            chains.append(chain[:-1])
    entry["chains"] = chains
    for method in methods:
        mine = [
            other
            for other in config["export"]
            if other["model"] == entry["model"] and other["corpus"] in (None, entry["corpus"])
        ]
        if not mine:
            mine = [{"corpus": entry["corpus"], "model": entry["model"], "methods": [], "formats": []}]
            mine[0]["searches"] = list(entry["searches"])
            config["export"].append(mine[0])
        for key, value in (("methods", method), ("formats", INT8)):
            mine[0][key] = list(dict.fromkeys([*mine[0][key], value]))


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong in this section."""
    seen = []
    for index, entry in enumerate(config["compose"]):
        where = f"compose[{index}]"
        yield from begins(config, where, entry)
        yield from not_of_the_whole(config, f"{where}.searches", entry, entry["searches"])
        if (entry["corpus"], entry["model"]) in seen:
            yield f"{where}: a second entry for model {entry['model']!r}; allowed: one, with more chains"
        seen.append((entry["corpus"], entry["model"]))
        names: list[list[str]] = []
        for number, chain in enumerate(chains_of(entry)):
            below = f"{where}.chains[{number}]"
            wrong = [line for place, step in enumerate(chain) for line in _of_step(config, f"{below}[{place}]", step)]
            yield from wrong
            if not wrong:
                yield from _of_order(config, below, entry, chain)
                if (name := [step_name(step) for step in chain]) in names:
                    yield f"{below}: the same as chain {names.index(name)}; allowed: once"
                names.append(name)


def _of_step(config: Mapping[str, Any], where: str, step: Step) -> Iterator[str]:
    """What is wrong with a step by itself."""
    kinds = [kind for kind in STEPS if getattr(step, kind) is not None]
    if step.int8:
        yield f"{where}.int8: allowed as the last step, alone, behind another; `export` has the dense model in int8"
        return
    if len(kinds) != 1:
        yield f"{where}: {', '.join(kinds) or 'nothing'} in one step; allowed: one of {', '.join(STEPS)}"
        return
    if step.of != types.ENCODER and kinds[0] != LAYERS:
        yield f"{where}.of: {step.of}; allowed with layers, whose they are, alone"
    if (step.sparsity is not None) != (kinds[0] == MASK):
        yield f"{where}.sparsity: {step.sparsity}; allowed with a mask, which needs it, alone"
    for key, share in ((HEADS, step.heads), (CHANNELS, step.channels), ("sparsity", step.sparsity)):
        if share is not None and share != round(share, 3):
            yield f"{where}.{key}: {share}; allowed: three decimals, as folders name it"
    if kinds[0] == MASK and step.schedule not in config["pruning"]:
        yield unknown(f"{where}.schedule", step.schedule, "pruning", config["pruning"])
    if kinds[0] == RECOVER and step.recover not in config["training"]:
        yield unknown(f"{where}.recover", step.recover, "training", config["training"])


def _of_order(config: Mapping[str, Any], where: str, entry: Mapping[str, Any], chain: Sequence[Step]) -> Iterator[str]:
    """Steps that make no sense where they stand, and those that the model's type does not have."""
    model, masked, last = config["models"][entry["model"]], False, ""
    left = {half: model[half]["layers"] for half in types.HALVES if model.get(half)}
    for place, step in enumerate(chain):
        kind, at = kind_of(step), f"{where}[{place}]"
        if masked:
            reason = {
                MASK: "a second mask would be ranked among weights that are zero already; give the first its sparsity",
                RECOVER: "training on would let removed weights grow back; a mask has a training of its own, `pruning`",
            }.get(kind, "a mask is of matrices as they are, and fits no smaller ones; put it last")
            yield f"{at}: {kind} after a mask: {reason}"
            return
        if kind == RECOVER and last in ("", RECOVER):
            yield f"{at}: recover where nothing is gone since the last training; put it behind a removal"
        if kind == LAYERS:
            yield from _of_layers(config, at, entry, step, left.get(step.of, 0))
            left[step.of] = step.layers
        if kind == CHANNELS and model.get("input") != FRONT_END:
            yield f"{at}: channels of {entry['model']!r}, which has no convolutions in front (`input: {FRONT_END}`)"
        masked, last = kind == MASK, kind


def _of_layers(
    config: Mapping[str, Any], where: str, entry: Mapping[str, Any], step: Step, layers: int
) -> Iterator[str]:
    """What is wrong with a step that removes layers from a model that has so many."""
    name, kind = entry["model"], config["models"][entry["model"]]["type"]
    fit = [one for one in types.TYPES.all() if types.ORDERED & {*types.parts(one)}]
    if step.of == types.DECODER:
        if wrong := no_decoder(config, name):
            yield f"{where}.of: decoder; allowed: encoder, as {wrong}"
            return
        known = (config["searches"].get(search) for search in entry["searches"])
        if not any(runs(search["type"], types.DECODER) for search in known if search):
            searches = ", ".join(entry["searches"])
            yield f"{where}.of: decoder; allowed with a search that runs it, which none of {searches} does"
        if SIMILARITY in needs(step.strategy):
            yield f"{where}.strategy: {step.strategy!r}; allowed for a decoder: those that need no similarity"
    elif kind not in fit:
        yield f"{where}.layers: {name!r} is of type {kind}, whose layers no search orders; allowed: {', '.join(fit)}"
    elif types.GENERATE in types.parts(kind) and SIMILARITY in needs(step.strategy):
        yield f"{where}.strategy: {step.strategy!r}; allowed for {name!r}: those that need no similarity of layers"
    if not 0 < step.layers < layers:
        yield f"{where}.layers: {step.layers}; allowed: 1 to {layers - 1}, as {layers} are left at this step"
