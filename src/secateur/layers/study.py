"""What a study runs of layer pruning on demand, and where it goes. No heavy imports.

A sub-model has no checkpoint of its own: `{model}/layers/{strategy}.json` says which of the model's layers it keeps;
all sub-models of a model are decoded together, into `{model}/depths/{search}`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from secateur.models import types
from secateur.study.parts_of_models import decoded
from secateur.study.runs import Decoding, Kind, ModelRun, Parents, Timed

LATE = "late-"
"""Begins the method of a dense model that is trained on with regularisers it did not have before."""


@dataclass(frozen=True)
class DepthDecoding(Decoding):
    """All sub-models of one model, decoded on one split of one language with one search."""

    @property
    def folder(self) -> str:
        return f"{self.run.folder}/depths/{self.search}"


def runs(config: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], ModelRun]]:
    """Every model whose layers are pruned, with its entry of `layers`."""
    for entry in config["layers"]:
        for seed in config["seeds"]:
            yield entry, whole(entry, seed)


def late_run(entry: Mapping[str, Any], variant: str, seed: int) -> ModelRun:
    """The model of a variant of an entry of `regularise`."""
    return ModelRun(entry["corpus"], entry["model"], "all", seed, LATE + variant, initialization="dense")


def regularise_entry(config: Mapping[str, Any], run: ModelRun) -> Mapping[str, Any]:
    """The entry of `regularise` that a model trained on with regularisers belongs to."""
    wanted = run.corpus, run.model
    return next(entry for entry in config["regularise"] if (entry["corpus"], entry["model"]) == wanted)


def late_variant(config: Mapping[str, Any], run: ModelRun) -> Mapping[str, Any]:
    """The variant of its entry of `regularise` that a model is."""
    variants = regularise_entry(config, run)["variants"]
    return next(variant for variant in variants if LATE + variant["name"] == run.method)


def whole(entry: Mapping[str, Any], seed: int) -> ModelRun:
    """The model that an entry of `layers` takes layers from."""
    if entry["variant"]:
        return late_run(entry, entry["variant"], seed)
    return ModelRun(entry["corpus"], entry["model"], "all", seed)


def entry_of(config: Mapping[str, Any], run: ModelRun) -> Mapping[str, Any]:
    """The entry of `layers` that is about a model."""
    return next(entry for entry, other in runs(config) if other.folder == run.folder)


def objective(config: Mapping[str, Any], run: ModelRun) -> str:
    """What a greedy search compares for a model: what its entry of `layers` says, the loss for one without."""
    return next((entry["objective"] for entry, other in runs(config) if other.folder == run.folder), "loss")


REGULARISED = "-regularised"
"""Ends the name of a model of fewer layers that is trained by itself with the regularisers of the whole one."""


def trained_name(model: str, depth: int, regularised: bool = False) -> str:
    """The name in `models` of a model of fewer layers that is trained by itself."""
    return f"{model}-depth{depth}{REGULARISED if regularised else ''}"


def trained_runs(config: Mapping[str, Any], entry: Mapping[str, Any], depth: int, seed: int) -> list[ModelRun]:
    """The models of fewer layers, trained by themselves, of which the better one is the rival of the sub-models."""
    names = [trained_name(entry["model"], depth, regularised) for regularised in (False, True)]
    return [ModelRun(entry["corpus"], name, "all", seed) for name in names if name in config["models"]]


def order_file(run: ModelRun, strategy: str) -> str:
    """What a strategy found: the order of removal, and the layers that are kept at every depth."""
    return f"{run.folder}/layers/{strategy}.json"


def orders(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """By folder of a model, what all strategies found for it."""
    return {run.folder: [order_file(run, name) for name in entry["strategies"]] for entry, run in runs(config)}


def timed(config: Mapping[str, Any]) -> Iterator[Timed]:
    """All depths of a model, on the first seed: as the first strategy chose them, since that hardly matters here."""
    for entry, run in runs(config):
        if run.seed == config["seeds"][0]:
            order = order_file(run, entry["strategies"][0])
            for search in entry["searches"]:
                yield Timed(run, search, layers=order, depths=tuple(entry["depths"]))


def _trained_models(config: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """The models of fewer layers that are trained by themselves, and the one whose depths they are."""
    return {
        (run.corpus, run.model): entry["model"]
        for entry in config["layers"]
        for depth in entry["trained"]
        for run in trained_runs(config, entry, depth, config["seeds"][0])
    }


def decodings(config: Mapping[str, Any]) -> Iterator[DepthDecoding]:
    """Every decoding of sub-models."""
    return decoded(config, runs(config), DepthDecoding)


def compared(config: Mapping[str, Any], corpus: str, rate: str, seed: int) -> dict[str, ModelRun]:
    """The models of a corpus with a frame rate whose layers are compared with one another, by their names in tables."""
    found = [run for _, run in runs(config)]
    for entry in config["regularise"]:
        for number in config["seeds"]:
            names = filter(None, (entry["model"], entry["scratch"]))
            found += [ModelRun(entry["corpus"], name, "all", number) for name in names]
            found += [late_run(entry, variant["name"], number) for variant in entry["variants"]]
    chosen = [run for run in found if (run.corpus, run.seed, frame_rate(config, run)) == (corpus, seed, rate)]
    return {name(run): run for run in dict.fromkeys(chosen)}


def comparisons(config: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """(corpus, frame rate, seed) of every comparison of layers: one for all models with the same frames."""
    found = [run for _, run in runs(config)]
    found += [
        ModelRun(entry["corpus"], entry["model"], "all", seed)
        for entry in config["regularise"]
        for seed in config["seeds"]
    ]
    found = [run for run in found if hear_alike(config["models"][run.model]["type"])]
    return list(dict.fromkeys((run.corpus, frame_rate(config, run), run.seed) for run in found))


def hear_alike(kind: str) -> bool:
    """Whether all layers of a type of model have the same frames; a decoder's, which are numbered on, have tokens."""
    return types.GENERATE not in types.parts(kind)


def similarity_folder(corpus: str, rate: str, seed: int) -> str:
    """Folder of a comparison of layers."""
    return f"similarity/{corpus}/{rate}/seed{seed}"


def frame_rate(config: Mapping[str, Any], run: ModelRun) -> str:
    """What decides how many frames a model's layers have: `conv2d`, or `stack` or `window` and a number."""
    entry = config["models"][run.model]
    return entry["input"].replace(":", "") if entry["input"] != "stack" else f"stack{entry['stack']}"


def name(run: ModelRun) -> str:
    """What tables of layers call a model."""
    return run.model if run.method == "dense" else f"{run.model}/{run.method}"


def _late_runs(config: Mapping[str, Any]) -> Iterator[ModelRun]:
    for entry in config["regularise"]:
        for variant in entry["variants"]:
            for seed in config["seeds"]:
                yield late_run(entry, variant["name"], seed)


def _shape(config: Mapping[str, Any]) -> dict[str, Any]:
    found = []
    for entry in config["regularise"]:
        variants = [{"name": variant["name"]} for variant in entry["variants"]]
        found.append({"corpus": entry["corpus"], "model": entry["model"], "variants": variants})
    return {"regularise": found}


KIND = Kind(
    owns=lambda method: method.startswith(LATE),
    runs=_late_runs,
    parents=lambda config, run: Parents(ModelRun(run.corpus, run.model, "all", run.seed)),
    training=lambda config, run: late_variant(config, run)["training"],
    searches=lambda config, run: regularise_entry(config, run)["searches"],
    shape=_shape,
    timed=timed,
    relatives=_trained_models,
)
