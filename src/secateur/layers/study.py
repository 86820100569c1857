"""What a study runs of layer pruning on demand, and where it goes. No heavy imports.

A sub-model has no checkpoint of its own: `{model}/layers/{strategy}.json` says which of the model's layers it keeps;
all sub-models of a model are decoded together, into `{model}/depths/{search}`. Those of a hybrid model that lost layers
of its decoder are in `layers/decoder-{strategy}.json` and `decoder-depths/{search}`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from secateur.layers.options import LayerSearchOptions, Objective
from secateur.models import types
from secateur.study.parts_of_models import decoded
from secateur.study.runs import Decoding, Kind, ModelRun, Parents, Timed

LATE = "late-"
"""Begins the method of a dense model that is trained on with regularisers it did not have before."""


@dataclass(frozen=True)
class DepthDecoding(Decoding):
    """All sub-models of one model, decoded on one split of one language with one search."""

    of = types.ENCODER

    @property
    def folder(self) -> str:
        return f"{self.run.folder}/{prefix(self.of)}depths/{self.search}"


class DecoderDepthDecoding(DepthDecoding):
    """As `DepthDecoding`, of sub-models that lack layers of the decoder."""

    of = types.DECODER


def decoding_of(entry: Mapping[str, Any]) -> type[DepthDecoding]:
    """How the sub-models of an entry of `layers` are decoded."""
    return DecoderDepthDecoding if entry["of"] == types.DECODER else DepthDecoding


def prefix(of: str) -> str:
    """How names begin of what is about the layers of a part of a model."""
    return "" if of == types.ENCODER else f"{of}-"


def split_prefix(name: str) -> tuple[str, str]:
    """The inverse: the part of a model, and the name without its prefix."""
    of, dash, rest = name.partition("-")
    return (of, rest) if dash and of == types.DECODER else (types.ENCODER, name)


def whole_depth(config: Mapping[str, Any], entry: Mapping[str, Any]) -> int:
    """How many layers the whole model has where an entry of `layers` takes some away."""
    return config["models"][entry["model"]][entry["of"]]["layers"]


def of_encoders(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of `layers` that take layers from an encoder."""
    return [entry for entry in config["layers"] if entry["of"] == types.ENCODER]


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


def entries_of(config: Mapping[str, Any], run: ModelRun, of: str = types.ENCODER) -> list[Mapping[str, Any]]:
    """The entry of `layers` that is about a part of a model, or none."""
    return [entry for entry, other in runs(config) if (other.folder, entry["of"]) == (run.folder, of)]


def objective(config: Mapping[str, Any], run: ModelRun, of: str = types.ENCODER) -> Objective:
    """What a greedy search compares for a model: what its entry of `layers` says, the loss for one without."""
    default = LayerSearchOptions().objective
    return next((entry["objective"] for entry in entries_of(config, run, of)), default)


REGULARISED = "-regularised"
"""Ends the name of a model of fewer layers that is trained by itself with the regularisers of the whole one."""


def trained_name(model: str, depth: int, regularised: bool = False) -> str:
    """The name in `models` of a model of fewer layers that is trained by itself."""
    return f"{model}-depth{depth}{REGULARISED if regularised else ''}"


def trained_runs(config: Mapping[str, Any], entry: Mapping[str, Any], depth: int, seed: int) -> list[ModelRun]:
    """The models of fewer layers, trained by themselves, of which the better one is the rival of the sub-models."""
    names = [trained_name(entry["model"], depth, regularised) for regularised in (False, True)]
    return [ModelRun(entry["corpus"], name, "all", seed) for name in names if name in config["models"]]


def order_file(run: ModelRun, strategy: str, of: str = types.ENCODER) -> str:
    """What a strategy found: the order of removal, and the layers that are kept at every depth."""
    return f"{run.folder}/layers/{prefix(of)}{strategy}.json"


def order_files(entry: Mapping[str, Any], run: ModelRun) -> dict[str, str]:
    """By strategy, what it found for the model of an entry of `layers`."""
    return {name: order_file(run, name, entry["of"]) for name in entry["strategies"]}


def orders(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """By folder of a model, what all strategies found for it."""
    found: dict[str, list[str]] = {}
    for entry, run in runs(config):
        found.setdefault(run.folder, []).extend(order_files(entry, run).values())
    return found


def timed(config: Mapping[str, Any]) -> Iterator[Timed]:
    """All depths of a model, on the first seed: as the first strategy chose them, since that hardly matters here."""
    for entry, run in runs(config):
        if run.seed == config["seeds"][0]:
            order, depths = next(iter(order_files(entry, run).values())), tuple(entry["depths"])
            for search in entry["searches"]:
                if entry["of"] == types.DECODER:
                    yield Timed(run, search, decoder_layers=order, decoder_depths=depths)
                else:
                    yield Timed(run, search, layers=order, depths=depths)


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
    for entry, run in runs(config):
        yield from decoded(config, [(entry, run)], decoding_of(entry))


def compared(config: Mapping[str, Any], corpus: str, rate: str, seed: int) -> dict[str, ModelRun]:
    """The models of a corpus with a frame rate whose layers are compared with one another, by their names in tables."""
    found = [run for entry, run in runs(config) if entry["of"] == types.ENCODER]
    for entry in config["regularise"]:
        for number in config["seeds"]:
            names = filter(None, (entry["model"], entry["scratch"]))
            found += [ModelRun(entry["corpus"], name, "all", number) for name in names]
            found += [late_run(entry, variant["name"], number) for variant in entry["variants"]]
    chosen = [run for run in found if (run.corpus, run.seed, frame_rate(config, run)) == (corpus, seed, rate)]
    return {name(run): run for run in dict.fromkeys(chosen)}


def comparisons(config: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """(corpus, frame rate, seed) of every comparison of layers: one for all models with the same frames."""
    found = [run for entry, run in runs(config) if entry["of"] == types.ENCODER]
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


def name(run: ModelRun, of: str = types.ENCODER) -> str:
    """What tables of layers call a model, or the decoder of one."""
    named = run.model if run.method == "dense" else f"{run.model}/{run.method}"
    return named if of == types.ENCODER else f"{named}/{of}"


def of_name(name: str) -> str:
    """The model whose decoder tables call by this name, or which they call so itself."""
    return name.removesuffix(f"/{types.DECODER}")


def sub_model(entry: Mapping[str, Any], kept: str) -> str:
    """What files of decodings and sizes call a sub-model of an entry of `layers`, by the layers that it keeps."""
    return kept if entry["of"] == types.ENCODER else f"{entry['of']} {kept}"


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
