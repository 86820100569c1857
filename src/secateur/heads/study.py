"""What a study runs of head pruning, and where it goes. No heavy imports.

Most models without some of their heads have no checkpoint: `{model}/heads/removals.json` says which sets of heads are
removed, and one job decodes all of them, into `{model}/heads/decode/{search}`. Those that are
trained on, or combined with the removal of layers, are models of their own, whose method is the chain of what was
removed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from secateur.core.options import read
from secateur.heads.options import RecoveryOptions
from secateur.heads.policies import plain
from secateur.study.runs import Decoding, Kind, ModelRun, Parents, Timed, languages, lm_folder, splits

HEADS, DEPTH = "heads-", "depth-"
"""Begin the steps that the method of a model without some of its heads or encoder layers is made of."""
THEN = "--"
"""Joins such steps: `depth-greedy-4--heads-global-500` lost layers first."""
RECOVERED = f"{THEN}recovered"
"""Ends the method of such a model that was trained on."""
WHOLE = "dense"
CONTROL = WHOLE + RECOVERED
"""The method of the whole model, trained on as those that lost something are: what training on does by itself."""
DEV = "dev"
"""Where importances are estimated and times measured: the test sets are for error rates alone."""


@dataclass(frozen=True)
class HeadsDecoding(Decoding):
    """All sets of heads of one model removed, each by itself, decoded on one split of one language with one search."""

    @property
    def folder(self) -> str:
        return f"{self.run.folder}/heads/decode/{self.search}"


def runs(config: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], ModelRun]]:
    """Every model whose heads are pruned, with its entry of `heads`."""
    for entry in config["heads"]:
        for seed in config["seeds"]:
            yield entry, ModelRun(entry["corpus"], entry["model"], "all", seed)


def smaller_run(entry: Mapping[str, Any], method: str, seed: int) -> ModelRun:
    """A model of an entry of `heads` that lost heads or layers."""
    return ModelRun(entry["corpus"], entry["model"], "all", seed, method, initialization="dense")


def heads_step(policy: str, share: float) -> str:
    """The step of a method that removes a share of the heads."""
    return f"{HEADS}{policy}-{round(share * 1000)}"


def combined(entry: Mapping[str, Any]) -> list[str]:
    """The methods that an entry of `heads` combines: layers alone, heads alone, layers first, heads first."""
    if not (chosen := entry["combine"]):
        return []
    depth = f"{DEPTH}{chosen['strategy']}-{chosen['depth']}"
    heads = heads_step(chosen["policy"], chosen["share"])
    return [depth, heads, depth + THEN + heads, heads + THEN + depth]


def recovery_of(entry: Mapping[str, Any]) -> RecoveryOptions | None:
    """How models of an entry of `heads` are trained on, if they are."""
    return read(RecoveryOptions, entry["recovery"], "heads.recovery") if entry["recovery"] else None


def recovered(entry: Mapping[str, Any]) -> list[str]:
    """The methods of an entry of `heads` whose models are trained on."""
    if not (recovery := recovery_of(entry)):
        return []
    alone = [heads_step(policy, share) for policy in recovery.policies for share in recovery.shares]
    both = combined(entry) if entry["combine"] and entry["combine"]["recovery"] else []
    return list(dict.fromkeys(alone + both))


def entry_of(config: Mapping[str, Any], run: ModelRun) -> Mapping[str, Any]:
    """The entry of `heads` that is about a model, whole or smaller."""
    wanted = run.corpus, run.model
    return next(entry for entry in config["heads"] if (entry["corpus"], entry["model"]) == wanted)


def estimated(config: Mapping[str, Any], run: ModelRun) -> Mapping[str, Any]:
    """The entry of `heads`, else of `compose`, that says on what the importance of a model's heads is estimated."""
    wanted = run.corpus, run.model
    entries = (*config["heads"], *config.get("compose", ()))
    return next(entry for entry in entries if (entry["corpus"], entry["model"]) == wanted)


def systems(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The pairs of importance and policy of an entry: its first importance with all policies, others with the plain.

    Importances differ in the order of all heads alone, which no other policy shows as plainly.
    """
    first, *others = entry["importances"]
    return [(first, policy) for policy in entry["policies"]] + [(name, plain()) for name in others]


def decodings(config: Mapping[str, Any]) -> Iterator[HeadsDecoding]:
    """Every decoding of models without some heads."""
    for entry, run in runs(config):
        for split, language, search in _decoded(config, entry):
            yield HeadsDecoding(run, split, language, search)


def checkpoints(config: Mapping[str, Any]) -> Iterator[ModelRun]:
    """Every model that lost heads or layers and is a checkpoint of its own, before it is trained on."""
    for entry in config["heads"]:
        methods = [*combined(entry), *recovered(entry)]
        for method in dict.fromkeys(methods):
            for seed in config["seeds"]:
                yield smaller_run(entry, method, seed)


def combined_decodings(config: Mapping[str, Any]) -> Iterator[Decoding]:
    """Every decoding of models that lost heads and layers, before they are trained on."""
    for entry, run in runs(config):
        for method in combined(entry):
            for split, language, search in _decoded(config, entry):
                yield Decoding(smaller_run(entry, method, run.seed), split, language, search)


def _decoded(config: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for split in splits(config, entry["corpus"]):
        for language in languages(config, entry["corpus"], "all"):
            for search in entry["searches"]:
                yield split, language, search


def parent(run: ModelRun) -> ModelRun:
    """The model that the last step of a smaller model's method began with."""
    method, _, _ = run.method.rpartition(THEN)
    whole = method in ("", WHOLE)
    return replace(run, method=WHOLE if whole else method, initialization="" if whole else "dense")


def last_step(run: ModelRun) -> tuple[str, str, int]:
    """What the last step of a smaller model's method removed: heads or layers, by what, and how many.

    For heads (`HEADS`) that is a policy and a share in per mille, for layers (`DEPTH`) a strategy and a depth.
    """
    kind, _, step = run.method.rpartition(THEN)[2].partition("-")
    name, _, number = step.rpartition("-")
    return f"{kind}-", name, int(number)


def trained_on(run: ModelRun) -> bool:
    """Whether a smaller model was trained on."""
    return run.method.endswith(RECOVERED)


def importance_file(run: ModelRun) -> str:
    """The importance of a model's heads."""
    return f"{run.folder}/heads/importance.tsv"


def stability_file(run: ModelRun) -> str:
    """How the order of a model's heads changes with the utterances that importances are estimated on."""
    return f"{run.folder}/heads/stability.json"


def times_file(run: ModelRun) -> str:
    """How long attention takes, by block and number of heads."""
    return f"{run.folder}/heads/times.json"


def removals_file(run: ModelRun) -> str:
    """Which heads are removed by importance, policy and share, and what the model then costs."""
    return f"{run.folder}/heads/removals.json"


def tuning_file(run: ModelRun) -> str:
    """The LM weights and length bonuses that were tuned for a model."""
    return f"{run.folder}/heads/tuning.json"


def tuned(config: Mapping[str, Any], run: ModelRun, search: str) -> str:
    """What was tuned of a search for the dense model of all languages, which all that is made of it is decoded with."""
    for entry in config["heads"]:
        if (entry["corpus"], entry["model"]) == (run.corpus, run.model) and entry.get("tuning"):
            return tuning_file(ModelRun(run.corpus, run.model, "all", run.seed)) if search in entry["lms"] else ""
    return ""


def perplexity_file(corpus: str, lm: str, seed: int) -> str:
    """What a language model costs, and its perplexity on the texts of the corpus."""
    return f"{lm_folder(corpus, lm, seed)}/perplexity.json"


def system_name(method: str, search: str) -> str:
    """What a model, by its method, with a search is called where times are measured."""
    return f"{method} {search}"


def timed(entry: Mapping[str, Any], run: ModelRun) -> dict[str, tuple[ModelRun, str, bool]]:
    """What is measured in turns, by name: a model, a search, and whether all its sets of heads join in.

    The first is the whole model with the first search, which the others' times are compared with.
    """
    searches = entry["latency"]["searches"]
    found = {system_name(WHOLE, search): (run, search, True) for search in searches}
    for search in entry["lms"]:
        found.setdefault(system_name(WHOLE, search), (run, search, False))
    for method in combined(entry):
        found[system_name(method, searches[0])] = (smaller_run(entry, method, run.seed), searches[0], False)
    return found


def _timed(config: Mapping[str, Any]) -> Iterator[Timed]:
    for entry, run in runs(config):
        for model, search, sets in timed(entry, run).values():
            yield Timed(model, search, heads=removals_file(run) if sets else "")


def perplexities(config: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """(corpus, language model, seed) of all language models that are compared."""
    found = [
        (entry["corpus"], lm, run.seed)
        for entry, run in runs(config)
        for search in entry["lms"]
        if (lm := config["searches"][search].get("lm"))
    ]
    return list(dict.fromkeys(found))


def layer_order(run: ModelRun) -> str:
    """The file that says which layers a model loses whose last step is that of layers."""
    kind, strategy, _ = last_step(run)
    assert kind == DEPTH
    return f"{parent(run).folder}/layers/{strategy}.json"


def _whole(run: ModelRun) -> ModelRun:
    return replace(run, method=WHOLE, initialization="")


def trained_on_runs(config: Mapping[str, Any]) -> Iterator[ModelRun]:
    """Every model that is trained on: of each entry first the control, then what lost heads or layers."""
    for entry, run in runs(config):
        methods = [method + RECOVERED for method in recovered(entry)]
        for method in [CONTROL, *methods] if methods else []:
            yield smaller_run(entry, method, run.seed)


def of_model(config: Mapping[str, Any], run: ModelRun) -> RecoveryOptions:
    """How a model that lost heads or layers, or the control, is trained on."""
    return read(RecoveryOptions, entry_of(config, run)["recovery"], "heads.recovery")


def _shape(config: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("corpus", "model", "recovery", "combine")
    return {"heads": [{key: entry[key] for key in keys} for entry in config["heads"]]}


KIND = Kind(
    owns=lambda method: method.startswith((HEADS, DEPTH)) or method == CONTROL,
    runs=trained_on_runs,
    parents=lambda config, run: Parents(_whole(run)),
    training=lambda config, run: of_model(config, run).training,
    searches=lambda config, run: entry_of(config, run)["searches"],
    shape=_shape,
    trials=lambda config, run: max(1, len(of_model(config, run).rates)),
    whole=_whole,
    timed=_timed,
    tuned=tuned,
)
