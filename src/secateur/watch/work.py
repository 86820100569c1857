"""How much work every job of a study is, before any has run: in seconds of a core, by what its time grows with.

These are first guesses, for shares and times that are right within a factor or so. `watch.forecast` replaces them by
what is measured as soon as anything has run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secateur.ssl import study as upstreams
from secateur.study import runs
from secateur.study.paths import run_of
from secateur.study.resources import JobResources

TRAINING, DECODING, OTHER = "training", "decoding", "other"
"""Kinds of work: where nothing of the very same was measured, its kind tells most of how fast this machine is."""
STEP = 1.0e-8
"""Seconds of a training step for each parameter and second of audio in its batch; of a text, for each token."""
TOKENS_A_SECOND = 15  # of speech
UTTERED = 4.0
"""Seconds to decode one language's split for each hypothesis that is kept, with a model of `PARAMETERS`."""
PARAMETERS = 2e6
WIDE = 10
"""A beam above this is only ever used by a compiled search, which takes as long as a greedy one."""
SECONDS = {
    "fetch": 10, "tokens": 1, "validate": 3, "features": 15, "sizes": 15, "masks": 15, "tables": 15, "figures": 20,
    "report": 2, "layer_search": 40, "layer_similarity": 15, "similarity": 30, "depth_rtf": 60, "decode_depths": 40,
    "head_importance": 20, "head_removals": 3, "head_times": 60, "head_latency": 60, "decode_heads": 90,
    "ssl_targets": 40, "superb": 15, "ssl_speed": 30,
}  # fmt: skip
"""Of a unit of work of a job by its rule: of all of it, of a task of `superb`."""
OTHERS = 4
START = 3.0
"""Seconds from the start of a process until it computes."""


@dataclass(frozen=True)
class Work:
    """The work of a job.

    Attributes:
        key: what it is: work of the same key is equally fast.
        kind: TRAINING, DECODING or OTHER.
        amount: of units: training steps, languages, tasks, or 1.
        seconds: those that a unit takes on a core of the machine that the constants here are of.
    """

    key: str
    kind: str
    amount: float
    seconds: float


def expected(resources: JobResources, rule: str, at: Any) -> Work:
    """The work of a job by its rule and `at`, the wildcards of the rule as attributes."""
    config = resources.paths.config
    if rule in ("ssl_pretrain", "ssl_distill", "ssl_prune"):
        recipe, entry = resources.recipe(at), upstreams.entry_of(config, at.upstream)
        seconds = STEP * _encoder_parameters(entry["encoder"] or {}) * recipe["batch_seconds"]
        return Work(f"{rule} {at.upstream}", TRAINING, recipe["steps"], seconds)
    if hasattr(at, "lm") and rule == "train_lm":
        recipe, model = resources.recipe(at), config["language_models"][at.lm]
        seconds = STEP * parameters(model) * recipe["batch_tokens"] / TOKENS_A_SECOND
        return Work(f"train {at.lm}", TRAINING, recipe["steps"], seconds)
    if rule in ("train", "prune", "prune_adaptive", "prune_control", "regularise", "recover"):
        run = run_of(at) if hasattr(at, "method") else runs.ModelRun(at.corpus, at.model, at.scope, int(at.seed))
        batch = resources.recipe(at)["batch_seconds"]
        seconds = STEP * parameters(config["models"][run.model]) * batch
        return Work(f"train {run.model} {batch:g}", TRAINING, runs.steps(config, run), seconds)
    if rule == "decode":
        languages = len(runs.languages(config, at.corpus, at.scope))
        search, size = config["searches"][at.search], parameters(config["models"][at.model])
        beam = search.get("beam", 1)
        seconds = UTTERED * (beam if beam <= WIDE else 1) * max(0.1, size / PARAMETERS)
        return Work(f"decode {at.model} {at.search} {at.split}", DECODING, languages, seconds)
    amount = len(upstreams.entry_of(config, at.upstream)["tasks"]) if rule == "superb" else 1
    axes = [str(getattr(at, axis)) for axis in ("model", "split", "search", "strategy", "number") if hasattr(at, axis)]
    kind = DECODING if rule.startswith("decode") else OTHER
    return Work(" ".join([rule, *axes]), kind, amount, SECONDS.get(rule, OTHERS))


def parameters(model: Mapping[str, Any]) -> float:
    """About how many parameters a model of the configuration has, by the size of its layers."""
    encoder, decoder = model.get("encoder", model), model.get("decoder") or {}
    macaron = 2 if encoder.get("type") == "conformer" else 1
    width, ffn = encoder.get("dim", 256), encoder.get("ffn", 1024)
    found = encoder.get("layers", 1) * macaron * (2 * width * ffn + 4 * width**2)
    return found + decoder.get("layers", 0) * (2 * width * decoder.get("ffn", ffn) + 8 * width**2)


def _encoder_parameters(encoder: Mapping[str, Any]) -> float:
    width, ffn = encoder.get("hidden_size", 768), encoder.get("intermediate_size", 3072)
    return encoder.get("num_hidden_layers", 12) * (2 * width * ffn + 4 * width**2)
