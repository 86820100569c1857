"""What a study runs of compositions (`compose`), and where it goes. No heavy imports.

A chain is a list of steps, each of which makes a model out of the one before; the first begins with the dense model.
Every prefix of a chain is a model of its own, whose method names its steps, so chains that begin alike share it:
`compose--layers-greedy-4--headless-global-500`. A chain without steps is the dense model.

To add a kind of step, give `Step` its keys, name it in `STEPS` and in `step_name`, give it a rule and a command, and
say in `checks` where it may stand.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from secateur.compose.options import Step
from secateur.core.errors import SecateurError
from secateur.layers.study import prefix
from secateur.models import types
from secateur.pruning import methods
from secateur.pruning.study import Schedule, schedule_named
from secateur.study.runs import Decoding, Kind, ModelRun, Parents, Timed, languages, splits

COMPOSED, THEN = "compose", "--"
LAYERS, HEADS, CHANNELS, MASK, RECOVER = STEPS = ("layers", "heads", "channels", "mask", "recover")
"""The keys that say what a step does; each has one of them."""
PREFIXES = {LAYERS: "layers", HEADS: "headless", CHANNELS: "channels", MASK: "mask", RECOVER: "recover"}
"""How the name of a step begins; `headless`, because rules of heads alone make what is called `heads-…`."""
INT8 = "int8"
"""The key of a last step that makes no model: `export` writes what is there in this format."""
WITH_TRAINING = (MASK, RECOVER)
"""Steps that leave a history of training, if only of no step."""
Entry = Mapping[str, Any]


def kind_of(step: Step) -> str:
    """Which of `STEPS` a step is. Raises SecateurError for one that is none, or a mask without its sparsity."""
    kind = next((kind for kind in STEPS if getattr(step, kind) is not None), "")
    if not kind or (kind == MASK and step.sparsity is None):
        raise SecateurError(f"compose: {kind or 'nothing'} in a step lacks what says how much goes; complete it")
    return kind


def step_name(step: Step) -> str:
    """The name of a step, as the method of its model has it."""
    kind = kind_of(step)
    if kind == LAYERS:
        return f"{PREFIXES[kind]}-{prefix(step.of)}{step.strategy}-{step.layers}"
    if kind == HEADS:
        return f"{PREFIXES[kind]}-{step.policy}-{_permille(step.heads)}"
    if kind == CHANNELS:
        return f"{PREFIXES[kind]}-{_permille(step.channels)}"
    if kind == MASK:
        return f"{PREFIXES[kind]}-{step.mask}-{_permille(step.sparsity)}"
    return f"{PREFIXES[kind]}-{step.recover}"


def _permille(share: float | None) -> int:
    return round(1000 * (share or 0.0))


def chains_of(entry: Entry) -> list[tuple[Step, ...]]:
    """The chains of an entry, complete or not."""
    return [tuple(Step(**step) for step in chain) for chain in entry["chains"]]


def run_of(entry: Entry, chain: Sequence[Step], seed: int) -> ModelRun:
    """The model at the end of a chain, or of a prefix of one."""
    dense = ModelRun(entry["corpus"], entry["model"], "all", seed)
    if not chain:
        return dense
    return replace(dense, method=THEN.join([COMPOSED, *map(step_name, chain)]), initialization="dense")


def chains(config: Mapping[str, Any]) -> Iterator[tuple[Entry, Sequence[Step], ModelRun]]:
    """Every chain that has a step, with its entry and the model at its end."""
    for entry in config.get("compose", ()):
        for chain in chains_of(entry):
            for seed in config["seeds"] if chain else ():
                yield entry, chain, run_of(entry, chain, seed)


def found(config: Mapping[str, Any], run: ModelRun) -> tuple[Entry, Sequence[Step]]:
    """The entry of a composed model, and the chain, or prefix of one, that it is the end of."""
    for entry in config["compose"]:
        if (entry["corpus"], entry["model"]) == (run.corpus, run.model):
            for chain in chains_of(entry):
                for length in range(1, len(chain) + 1):
                    if run_of(entry, chain[:length], run.seed).method == run.method:
                        return entry, chain[:length]
    raise AssertionError(f"{run.method}: no chain of the study")


def before(config: Mapping[str, Any], run: ModelRun) -> ModelRun:
    """The model that the last step of a composed one began with."""
    entry, chain = found(config, run)
    return run_of(entry, chain[:-1], run.seed)


def schedule_of(config: Mapping[str, Any], step: Step) -> Schedule:
    """The entry of `pruning` that says how a mask is made."""
    return schedule_named(config, step.schedule or "")


def _ends(config: Mapping[str, Any], trained: bool) -> Iterator[ModelRun]:
    """The models at the ends of chains whose last step trains, or does not."""
    ends = (run for _, chain, run in chains(config) if (kind_of(chain[-1]) in WITH_TRAINING) == trained)
    yield from dict.fromkeys(ends)


def bare_runs(config: Mapping[str, Any]) -> Iterator[ModelRun]:
    """The models at the ends of chains that end without training, by a removal."""
    return _ends(config, trained=False)


def bare_decodings(config: Mapping[str, Any]) -> Iterator[Decoding]:
    """Every decoding of those."""
    for run in bare_runs(config):
        for split in splits(config, run.corpus):
            for language in languages(config, run.corpus, run.scope):
                for search in found(config, run)[0]["searches"]:
                    yield Decoding(run, split, language, search)


def said(config: Mapping[str, Any], run: ModelRun) -> str:
    """What was done to a composed model, for a reader."""
    parts = []
    for step in found(config, run)[1]:
        kind = kind_of(step)
        if kind == LAYERS:
            parts.append(f"{step.layers} {'' if step.of == types.ENCODER else 'decoder '}layers")
        elif kind == HEADS:
            parts.append(f"{100 * step.heads:g} % of the heads removed")
        elif kind == CHANNELS:
            parts.append(f"{100 * step.channels:g} % of the front end's channels removed")
        elif kind == MASK:
            parts.append(f"{methods.named(step.mask).shown.label} {100 * step.sparsity:g} %")
        else:
            parts.append("trained on")
    return ", then ".join(parts)


def _parents(config: Mapping[str, Any], run: ModelRun) -> Parents:
    """The model before; a mask's is ranked by its weights, too."""
    step, start = found(config, run)[1][-1], before(config, run)
    if kind_of(step) == MASK:
        schedule, method = schedule_of(config, step), methods.named(step.mask)
        sharing = len(languages(config, run.corpus, run.scope)) if schedule.steps_per == "language" else 1
        return Parents(start, start if method.ranked else None, levels=int(method.trains), languages=sharing)
    return Parents(start, levels=int(kind_of(step) == RECOVER))


def _training(config: Mapping[str, Any], run: ModelRun) -> str:
    """The entry of `training` of the last step; where nothing is trained, that of the dense model."""
    step = found(config, run)[1][-1]
    if kind_of(step) == RECOVER:
        return step.recover
    return schedule_of(config, step).training if kind_of(step) == MASK else config["models"][run.model]["training"]


def _timed(config: Mapping[str, Any]) -> Iterator[Timed]:
    """The ends of all chains, on the first seed."""
    for entry, _, run in chains(config):
        if run.seed == config["seeds"][0]:
            yield from (Timed(run, search) for search in entry["searches"])


KIND = Kind(
    owns=lambda method: method.startswith(COMPOSED + THEN),
    runs=lambda config: _ends(config, trained=True),
    parents=_parents,
    training=_training,
    searches=lambda config, run: found(config, run)[0]["searches"],
    shape=lambda config: {"compose": config.get("compose", [])},
    whole=lambda run: replace(run, method="dense", initialization=""),
    timed=_timed,
)
