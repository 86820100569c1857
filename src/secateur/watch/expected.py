"""How much work every job of a study is, before any has run: in seconds of a core, by what its time grows with.

These are first guesses, for shares and times that are right within a factor or so. `watch.forecast` replaces them by
what is measured as soon as anything has run.
"""

from collections.abc import Mapping
from typing import Any

from secateur.ssl import study as upstreams
from secateur.study import runs
from secateur.study.paths import run_of
from secateur.study.resources import JobResources
from secateur.watch.work import DECODING, LIGHT, OTHER, TRAINING, Work

STEP = 1.0e-8
"""Seconds of a training step for each parameter and second of audio in its batch; of a text, for each token."""
LEAST_STEP = 0.02
"""Seconds of a step beside that, however small the model."""
TOKENS_A_SECOND = 15  # of speech
UTTERED = 4.0
"""Seconds to decode one language's split, with a model of `PARAMETERS`."""
EXTENDED = 12.0
"""The same for each hypothesis that a beam search keeps."""
PARAMETERS = 2e6
WIDE = 10
"""A beam above this is only ever used by a compiled search, which takes as long as a greedy one."""
SECONDS = {
    "sizes": 15, "masks": 10, "layer_search": 40, "layer_similarity": 15, "similarity": 30, "timing": 60,
    "decode_depths": 40, "decode_exits": 40, "decode_onnx": 40, "head_importance": 20, "head_removals": 1,
    "head_times": 60, "decode_heads": 200, "prune_heads": 1, "export_depth": 1,
    "compose_heads": 1, "compose_channels": 15, "compose_layers": 1,
    "perplexity": 3, "tune_lms": 300, "ssl_targets": 40, "superb": 7, "ssl_speed": 30, "stream_delays": 60,
}  # fmt: skip
"""Of a unit of work of a job by its rule, where it needs torch: of all of it, of a task of `superb`."""
LIGHT_SECONDS = {"fetch": 10, "features": 10, "validate": 2, "tables": 10, "figures": 15, "report": 1}
"""The same of jobs that do without."""
TRAINING_RULES = (
    *("train", "import_model", "prune", "prune_adaptive", "prune_control", "regularise", "recover"),
    *("compose_mask", "compose_recover"),
)
LIGHT_OTHERS = 2
WITHOUT_TRAINING = 20


def expected(resources: JobResources, rule: str, at: Any) -> Work:
    """The work of a job by its rule and `at`, the wildcards of the rule as attributes."""
    config = resources.paths.config
    if rule in ("ssl_pretrain", "ssl_distill", "ssl_prune"):
        training, entry = resources.training_of(at), upstreams.entry_of(config, at.upstream)
        seconds = LEAST_STEP + STEP * _encoder_parameters(entry["encoder"] or {}) * training["batch_seconds"]
        return Work(f"{rule} {at.upstream}", TRAINING, training["steps"], seconds)
    if hasattr(at, "lm") and rule in ("train_lm", "import_lm", "prune_lm"):
        training, model = resources.training_of(at), config["language_models"][at.lm]
        seconds = LEAST_STEP + STEP * parameters(model) * training["batch_tokens"] / TOKENS_A_SECOND
        return Work(f"train {at.lm}", TRAINING, training["steps"], seconds)
    if rule in TRAINING_RULES:
        run = run_of(at) if hasattr(at, "method") else runs.ModelRun(at.corpus, at.model, at.scope, int(at.seed))
        batch = resources.training_of(at)["batch_seconds"]
        seconds = LEAST_STEP + STEP * parameters(config["models"][run.model]) * batch
        if not (steps := runs.steps_of_job(config, run)):  # a model that is there, or is pruned without training
            return Work(f"{rule} {run.model} without training", OTHER, 1, WITHOUT_TRAINING)
        return Work(f"train {run.model} {batch:g}", TRAINING, steps, seconds)
    if rule == "decode":
        sets = len(runs.languages(config, at.corpus, at.scope)) * len(runs.splits(config, at.corpus))
        search, size = config["searches"][at.search], parameters(config["models"][at.model])
        beam = search.get("beam", 1)
        seconds = EXTENDED * beam if 1 < beam <= WIDE else UTTERED
        seconds *= max(0.1, size / PARAMETERS)
        return Work(f"decode {at.model} {at.search}", DECODING, sets, seconds, _like(config, rule, at))
    amount = max(1, len(upstreams.entry_of(config, at.upstream)["tasks"])) if rule == "superb" else 1
    axes = [str(getattr(at, axis)) for axis in ("model", "search", "strategy", "number") if hasattr(at, axis)]
    key = " ".join([rule, *axes])
    if rule in SECONDS:
        kind = DECODING if rule.startswith("decode") else OTHER
        return Work(key, kind, amount, SECONDS[rule], _like(config, rule, at))
    return Work(key, LIGHT, amount, LIGHT_SECONDS.get(rule, LIGHT_OTHERS))


def _like(config: Mapping[str, Any], rule: str, at: Any) -> str:
    """What is off by the same factor: the jobs of a rule, with beam searches apart, which are off by another."""
    beam = config["searches"][at.search].get("beam", 1) if hasattr(at, "search") else 1
    return f"{rule} beam" if 1 < beam <= WIDE else rule


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
