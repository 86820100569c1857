"""All systems of a study: dense models, what pruning made of them by masks, layers and heads, with their searches.

A system has what serves all its languages: a model of each language where models are monolingual, one model else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from secateur.compose import study as compose
from secateur.exits import study as exits
from secateur.exits.study import ExitsDecoding
from secateur.exported import study as exported
from secateur.exported.study import ExportedDecoding
from secateur.heads import study as heads
from secateur.heads.study import DEPTH, HEADS, THEN, HeadsDecoding
from secateur.layers import study as layers
from secateur.models import types
from secateur.overview.comparisons import systems
from secateur.overview.study import dense_of, saved
from secateur.pruning import methods
from secateur.pruning import tables as pruning
from secateur.reporting.grid import label
from secateur.reporting.results import EACH, Results, smallest
from secateur.reporting.systems import System
from secateur.study.runs import Decoding, ModelRun, languages, lexicon_folder, lm_folder, splits

DENSE, MASKS, PATHWAYS, SHALLOWER, HEADLESS, BOTH, COMPOSED, EARLY, EXPORTED, STRUCTURED = KINDS = (
    *("dense", "masks", "pathways", "fewer layers", "fewer heads", "fewer layers and heads", "composition"),
    *("early exit", "exported", "structured"),
)
"""What a system is: dense controls of any size, late regularisers and further training among them, are dense."""
COSTS = ("parameters", "nonzero", "bytes", "macs_per_second", "peak_memory")
STORED = ("parameters", "nonzero", "bytes")
SPARSE = "sparse"


@dataclass(frozen=True)
class Candidate:
    """A model or sub-model with a search, before anything is read of it.

    Attributes:
        kind: one of `KINDS`.
        name: what tables call it; unique within a corpus and search.
        run: the model; with scope `each` those of all languages together; of a sub-model the whole one.
        search: name of the search.
        systems: its decodings, by split.
        sub_model: the layers that are kept, the set of heads that is removed, when it is left, or its format;
            empty for a model.
    """

    kind: str
    name: str
    run: ModelRun
    search: str
    systems: Mapping[str, System]
    sub_model: str = ""

    @property
    def languages(self) -> list[str]:
        """Those that it is decoded on."""
        return list(next(iter(self.systems.values())).decodings)

    @property
    def runs(self) -> list[ModelRun]:
        """The models that serve its languages."""
        decodings = next(iter(self.systems.values())).decodings.values()
        return list(dict.fromkeys(decoding.run for decoding in decodings))


def candidates(results: Results) -> Iterator[Candidate]:
    """Every system of a study that is decoded."""
    yield from _models(results)
    yield from _shallower(results)
    yield from _headless(results)
    yield from _combined(results)
    yield from _composed(results)
    yield from _left_early(results)
    yield from _exported(results)


def from_dense(results: Results) -> Iterator[tuple[Candidate, ModelRun]]:
    """Every system that was made from a dense model, or is a part of a model, and that model."""
    for candidate in candidates(results):
        run = candidate.run if candidate.sub_model else dense_of(candidate.run)
        if candidate.sub_model or run.method != candidate.run.method:
            yield candidate, run


def kind_of(run: ModelRun) -> str:
    """Which of `KINDS` a model is."""
    if compose.KIND.owns(run.method):
        return COMPOSED
    if parsed := methods.find(run.method):
        return DENSE if parsed.method.masks is None else PATHWAYS if parsed.method.from_masks else MASKS
    steps = run.method.split(THEN)
    found = [any(step.startswith(part) for step in steps) for part in (DEPTH, HEADS)]
    return {(True, True): BOTH, (True, False): SHALLOWER, (False, True): HEADLESS}.get(tuple(found), DENSE)


def name_of(run: ModelRun) -> str:
    """What tables call a model."""
    parts = [run.model] if run.method == "dense" else [run.model, run.method]
    if run.sparsity:
        parts.append(label("sparsity_target", str(run.sparsity)))
    if run.scope != "all":
        parts.append("each language" if run.scope == EACH else label("scope", run.scope))
    return ", ".join(parts)


def steps_behind(config: Mapping[str, Any], run: ModelRun) -> int:
    """Training steps behind a model from random weights on; removing layers or heads takes none."""
    untrained = run.method.startswith((HEADS, DEPTH)) and not heads.trained_on(run)
    return pruning.total_steps(config, dense_of(run) if untrained else run)


def costs(results: Results, candidate: Candidate) -> dict[str, Any]:
    """The columns `COSTS`, `format` and `models`.

    What is stored is the sum over the models that serve all languages, and over what the search has beside: a language
    model, or what it made of the training text.
    Arithmetic is the mean and memory the maximum of the acoustic models, of which one runs at a time.
    """
    parts = _costs_of_parts(results, candidate)
    found: dict[str, Any] = {column: sum(part[column] for part in parts) for column in STORED}
    found["macs_per_second"] = fmean(part["macs_per_second"] for part in parts)
    found["peak_memory"] = max(part["peak_memory"] for part in parts)
    for stored in _beside(results, candidate):
        found |= {column: found[column] + stored[column] for column in STORED}
    return found | {"format": parts[0]["format"], "models": len(parts)}


def _beside(results: Results, candidate: Candidate) -> Iterator[Mapping[str, Any]]:
    """The columns `STORED` of what the search has beside the models."""
    run = candidate.run
    if lm := results.lm_of(candidate.search):
        stored = results.cost(lm_folder(run.corpus, lm, run.seed), *STORED)
        exported = {"bytes": _system(results, candidate)["lm_bytes"]} if candidate.kind == EXPORTED else {}
        yield {**stored, **exported}
    if saved(results.config["searches"][candidate.search]):
        yield results.cost(lexicon_folder(run.corpus, candidate.search), *STORED)


def _costs_of_parts(results: Results, candidate: Candidate) -> Sequence[Mapping[str, Any]]:
    run = candidate.run
    if not candidate.sub_model:
        return [_smallest_file(results.size(one, *COSTS)) for one in candidate.runs]
    if candidate.kind == EARLY:  # all layers are stored; arithmetic as far as utterances of dev went
        found = results.json(exits.exits_file(run, candidate.search), "points")["points"][candidate.sub_model]
        macs = {"macs_per_second": found["dev"]["macs_per_second"]}
        return [_smallest_file(results.size(run, *COSTS)) | macs]
    if candidate.kind == EXPORTED:  # the same arithmetic
        system = _system(results, candidate)
        facts = {"bytes": system["model_bytes"], "peak_memory": system["peak_memory"]}
        return [{**_smallest_file(results.size(run, *COSTS)), **facts, "format": candidate.sub_model}]
    if candidate.kind == SHALLOWER:
        cost = results.size(run, "sub_models")["sub_models"][candidate.sub_model]
    else:
        cost = results.json(heads.removals_file(run), "sets")["sets"][candidate.sub_model]
    return [dict(cost) | {"nonzero": cost.get("nonzero", cost["parameters"]), "format": "dense"}]


def _system(results: Results, candidate: Candidate) -> Mapping[str, Any]:
    """What `onnx.json` says of an exported model."""
    file = exported.systems_file(candidate.run, candidate.search)
    return results.json(file, "systems")["systems"][candidate.sub_model]


def _smallest_file(size: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of `sizes.json` with the bytes of the best format, and its name in `format`."""
    stored, sparse = smallest(size)
    return {**size, "bytes": stored, "format": SPARSE if sparse else "dense"}


def _models(results: Results) -> Iterator[Candidate]:
    """Every model that has a checkpoint of its own and is trained."""
    groups: dict[tuple[ModelRun, str], dict[str, System]] = {}
    for found, parts in systems(results.config).items():
        groups.setdefault((found.run, found.search), {})[found.split] = System(parts)
    for (run, search), parts in groups.items():
        name = composed_name(results.config, run) if kind_of(run) == COMPOSED else name_of(run)
        yield Candidate(kind_of(run), name, run, search, parts)


def composed_name(config: Mapping[str, Any], run: ModelRun) -> str:
    """What tables call a composition."""
    return f"{run.model}: {compose.said(config, run)}"


def _shallower(results: Results) -> Iterator[Candidate]:
    """The sub-models of every strategy and depth, which may keep other layers in every seed."""
    for entry, run in layers.runs(results.config):
        files = layers.order_files(entry, run)
        orders = {name: results.json(file, "depths")["depths"] for name, file in files.items()}
        whose = "" if entry["of"] == types.ENCODER else f"{entry['of']} "
        for search in entry["searches"]:
            for strategy, depths in orders.items():
                for depth in entry["depths"]:
                    kept = layers.sub_model(entry, ",".join(map(str, depths[str(depth)]["layers"])))
                    name = f"{layers.name(run)}, {depth} {whose}layers by {strategy}"
                    parts = _by_split(results, run, layers.decoding_of(entry), search, kept)
                    yield Candidate(SHALLOWER, name, run, search, parts, kept)


def _headless(results: Results) -> Iterator[Candidate]:
    """What every importance, policy and share leaves, which may be other heads in every seed."""
    for entry, run in heads.runs(results.config):
        removed = results.json(heads.removals_file(run), "systems", "sets")["systems"]
        for search in entry["searches"]:
            for found in removed:
                name = (
                    f"{name_of(run)}, {100 * found['share']:g} % of the heads: {found['policy']} {found['importance']}"
                )
                parts = _by_split(results, run, HeadsDecoding, search, found["set"])
                yield Candidate(HEADLESS, name, run, search, parts, found["set"])


def _combined(results: Results) -> Iterator[Candidate]:
    """Every model that lost layers, heads or both, and was not trained on."""
    for entry, run in heads.runs(results.config):
        for method in heads.combined(entry):
            smaller = heads.smaller_run(entry, method, run.seed)
            for search in entry["searches"]:
                parts = _by_split(results, smaller, Decoding, search)
                yield Candidate(kind_of(smaller), name_of(smaller), smaller, search, parts)


def _composed(results: Results) -> Iterator[Candidate]:
    """Every composition that ends without training."""
    for run in compose.bare_runs(results.config):
        for search in compose.found(results.config, run)[0]["searches"]:
            name = composed_name(results.config, run)
            yield Candidate(COMPOSED, name, run, search, _by_split(results, run, Decoding, search))


def _left_early(results: Results) -> Iterator[Candidate]:
    """Every point at which utterances leave a model early, and every exit for all of them."""
    for entry, run in exits.runs(results.config):
        for search in entry["searches"]:
            for point in results.json(exits.exits_file(run, search), "points")["points"]:
                parts = _by_split(results, run, ExitsDecoding, search, point)
                yield Candidate(EARLY, f"{name_of(run)}, left at {point}", run, search, parts, point)


def _exported(results: Results) -> Iterator[Candidate]:
    """Every format of every model that is exported."""
    for entry, run in exported.runs(results.config):
        called = composed_name(results.config, run) if kind_of(run) == COMPOSED else name_of(run)
        for search in entry["searches"]:
            for name in entry["formats"]:
                parts = _by_split(results, run, ExportedDecoding, search, name)
                yield Candidate(EXPORTED, f"{called}, {name}", run, search, parts, name)


def _by_split(results: Results, run: ModelRun, decoding: Any, search: str, part: str = "") -> dict[str, System]:
    codes = languages(results.config, run.corpus, run.scope)
    return {
        split: System({code: decoding(run, split, code, search) for code in codes}, part)
        for split in splits(results.config, run.corpus)
    }
