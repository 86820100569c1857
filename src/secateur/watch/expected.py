"""How much work every job of a study is, before any has run: in seconds of a core, by what its time grows with.

These are first guesses, for shares and times that are right within a factor or so. `watch.forecast` replaces them by
what is measured as soon as anything has run.
"""

from collections.abc import Mapping
from typing import Any

from secateur.heads import study as heads
from secateur.overview.resources import JobResources
from secateur.ssl import checks as ssl
from secateur.ssl import commands as ssl_commands
from secateur.ssl import study as upstreams
from secateur.study import runs, timing
from secateur.study.paths import run_of
from secateur.watch.work import DECODING, LIGHT, OTHER, TRAINING, Work

STEP = 1.0e-8
"""Seconds of a training step for each parameter and second of audio in its batch; of a text, for each token."""
LEAST_STEP = 0.02
"""Seconds of a step beside that, however small the model."""
TOKENS_A_SECOND = 15  # of speech
UTTERED = 0.6
"""Seconds to decode one language's split, with a model of `PARAMETERS`."""
EXTENDED = 5.5
"""The same for each hypothesis that a beam search keeps."""
PARAMETERS = 2e6
WIDE = 10
"""A beam above this is only ever used by a compiled search, which takes as long as a greedy one."""
SECONDS = {
    "sizes": 20, "masks": 1, "layer_search": 6, "layer_similarity": 3, "similarity": 22,
    "decode_depths": 70, "decode_exits": 37, "decode_onnx": 13, "head_importance": 5, "head_removals": 6,
    "head_times": 3, "decode_heads": 115, "prune_heads": 1, "export_depth": 1,
    "compose_heads": 1, "compose_channels": 15, "compose_layers": 1,
    "perplexity": 1, "tune_lms": 160, "ssl_targets": 40, "superb": 9, "stream_delays": 60,
}  # fmt: skip
"""Of a unit of work of a job by its rule, where it needs torch: of all of it, of a task of `superb`."""
BEAM_SECONDS = {"decode_heads": 265, "decode_onnx": 180, "decode_depths": 300, "decode_exits": 160}
"""The same with a beam search."""
EXTRACTED = 5e-9
"""Seconds to extract features from a second of audio, for each parameter of the encoder."""
BASE = 8.5e7
"""Parameters of WavLM base's layers."""
DEV_SECONDS = 200
"""Audio that is extracted where a study names no amount: dev sets have as much as they have."""
TAUGHT = 3
"""A step of a student takes so many times that of its encoder: its teacher runs, too, and gates cost."""
TIMED_SECONDS = {timing.QUICK: 6.5, timing.BEAM: 12}
"""Of a system that is timed, by the group of its search. One of a family is timed twice."""
LIGHT_SECONDS = {"fetch": 2, "features": 4, "validate": 1, "tables": 40, "figures": 22, "report": 4}
"""The same of jobs that do without."""
TRAINING_RULES = (
    *("train", "import_model", "prune", "prune_adaptive", "prune_control", "regularise", "recover"),
    *("compose_mask", "compose_recover"),
)
LIGHT_OTHERS = 2
WITHOUT_TRAINING = 1


def expected(resources: JobResources, rule: str, at: Any) -> Work:
    """The work of a job by its rule and `at`, the wildcards of the rule as attributes."""
    config = resources.paths.config
    if rule in ("ssl_pretrain", "ssl_distill", "ssl_prune"):
        entry = upstreams.entry_of(config, at.upstream)
        training, encoder = resources.training_of(at), ssl.sizes(entry) or {}
        seconds = LEAST_STEP + STEP * _encoder_parameters(encoder) * training["batch_seconds"]
        seconds *= 1 if rule == "ssl_pretrain" else TAUGHT
        steps = upstreams.own_steps(config, entry, ssl_commands.part_of(at))
        return Work(f"{rule} {at.upstream}", TRAINING, steps, seconds)
    if hasattr(at, "lm") and rule in ("train_lm", "import_lm", "prune_lm"):
        training, model = resources.training_of(at), config["language_models"][at.lm]
        if not training["steps"]:  # it is there
            return _without_training(rule, at.lm)
        seconds = LEAST_STEP + STEP * parameters(model) * training["batch_tokens"] / TOKENS_A_SECOND
        return Work(f"train {at.lm}", TRAINING, training["steps"], seconds)
    if rule in TRAINING_RULES:
        run = run_of(at) if hasattr(at, "method") else runs.ModelRun(at.corpus, at.model, at.scope, int(at.seed))
        batch = resources.training_of(at)["batch_seconds"]
        seconds = LEAST_STEP + STEP * parameters(config["models"][run.model]) * batch
        if not (steps := runs.steps_of_job(config, run)):  # a model that is there, or is pruned without training
            return _without_training(rule, run.model)
        return Work(f"train {run.model} {batch:g}", TRAINING, steps, seconds)
    if rule == "decode":
        sets = len(runs.languages(config, at.corpus, at.scope)) * len(runs.splits(config, at.corpus))
        search, size = config["searches"][at.search], parameters(config["models"][at.model])
        beam = search.get("beam", 1)
        seconds = EXTENDED * beam if 1 < beam <= WIDE else UTTERED
        seconds *= max(0.1, size / PARAMETERS)
        return Work(f"decode {at.model} {at.search}", DECODING, sets, seconds, _like(config, rule, at))
    if rule == "timing":
        return Work(f"timing {at.model}", OTHER, 1, _timing_seconds(config, at), "timing")
    if rule == "ssl_speed":
        return Work(f"{rule} {at.size}", OTHER, 1, _extraction_seconds(config, at), f"{rule} {at.size}")
    amount = max(1, len(upstreams.entry_of(config, at.upstream)["tasks"])) if rule == "superb" else 1
    axes = [str(getattr(at, axis)) for axis in ("model", "search", "strategy", "number") if hasattr(at, axis)]
    key = " ".join([rule, *axes])
    if rule in SECONDS:
        kind, like = DECODING if rule.startswith("decode") else OTHER, _like(config, rule, at)
        seconds = SECONDS[rule] if like == rule else BEAM_SECONDS.get(rule, SECONDS[rule])
        return Work(key, kind, amount, seconds, like)
    return Work(key, LIGHT, amount, LIGHT_SECONDS.get(rule, LIGHT_OTHERS))


def _timing_seconds(config: Mapping[str, Any], at: Any) -> float:
    """Of timing a family, by its systems."""
    members = timing.families(config)[timing.Family(at.corpus, at.model)]
    seconds = 0.0
    for number, one in enumerate(members):
        beam = 1 < config["searches"][one.search].get("beam", 1) <= WIDE
        systems = 1 + (number == 0) + len(one.depths) + 2 * bool(one.onnx) + 3 * bool(one.exits)
        if one.heads:
            entry = heads.entry_of(config, one.run)
            systems += len(heads.systems(entry)) * len(entry["shares"])
        seconds += systems * TIMED_SECONDS[timing.BEAM if beam else timing.QUICK]
    return seconds


def _extraction_seconds(config: Mapping[str, Any], at: Any) -> float:
    """Of timing the teacher, twice, and its students."""
    entry = upstreams.entry_of(config, at.upstream)
    speed, base = entry["speed"], at.size == "base"
    size = BASE if base else _encoder_parameters(ssl.sizes(entry) or {})
    audio = speed["base"] if base else speed["seconds"] or DEV_SECONDS
    return EXTRACTED * size * audio * speed["runs"] * (2 + len(entry["students"]))


def _without_training(rule: str, name: str) -> Work:
    return Work(f"{rule} {name} without training", OTHER, 1, WITHOUT_TRAINING)


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
