"""Self-supervised encoders: what tasks say of them, what structured pruning left of them, and how its gates moved.

The published figures beside them are of WavLM base pretrained on LibriSpeech and of SUPERB's own tasks.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from secateur.decoding.timing import AGAIN, latency
from secateur.models.upstream.config import WHISPER, of_whisper
from secateur.reporting import published
from secateur.reporting.results import Results
from secateur.reporting.times import SOUND
from secateur.ssl import study as upstreams
from secateur.ssl.measured import EncoderTimes
from secateur.ssl.options import FINE, WHOLE_HEADS
from secateur.ssl.scales import NORMAL_95, SUPERB, Scale, better, difference, scale_of, score_error, scored
from secateur.ssl.study import BASELINES, TEACHER, ZEROS, UpstreamRun

OWN = "own"
"""The size of an encoder as it was trained; its time is also measured in WavLM base's."""
SCORE = "score"
"""The task that Eq. 6 of S4 stands under."""
SCORES_COLUMNS = (
    *("corpus", "upstream", "model", "seed", "task", "metric", "value", "value_low", "value_high", "chance"),
    *("over_zero", "over_zero_low", "over_zero_high", "scored", "higher_is_better", "published", "published_ste"),
    *("notes", "source"),
)
STRUCTURED_COLUMNS = (
    *("corpus", "upstream", "model", "seed", "type", "fahp", "ste", "target", "sparsity_target", "expected", "reached"),
    *("sparsity", "conv_sparsity", "polarisation", "missed", "second_before", "second_after", "steps", "cpu_seconds"),
    *("size", "parameters", "macs_per_second", "audio_seconds", "utterances"),
    *("seconds", "speedup", "speedup_low", "speedup_high"),
    *("device", "threads", *SOUND, "published_parameters", "published_speedup", "source"),
)
GATES_COLUMNS = (
    *("corpus", "upstream", "model", "seed", "step", "z_mha", "z_ffn", "sparsity", "target", "lambda1", "lambda2"),
    *("polarisation", "source"),
)
BLOCKS_COLUMNS = ("corpus", "upstream", "model", "seed", "layer", "attention", "feed_forward", "source")
BASE = {"hidden_size": 768, "num_hidden_layers": 12}
"""The shape of the published teachers."""
NAMES = {"wavlm": "WavLM Base", "hubert": "HuBERT Base", "wav2vec2": "w2v2 Base"}
DISTILLED = {"wavlm": "DistilWavLM", "hubert": "DistilHuBERT"}


def scores(results: Results) -> Iterator[dict[str, Any]]:
    """One row per model, task and metric, and one with the score (Eq. 6), whose metric is the name of its scale:
    `secateur.ssl.scales`. `over_zero` is by how much a metric is above that of the better of the log-mel features.
    """
    found = {run: results.json(run.scores, "tasks")["tasks"] for _, run in upstreams.runs(results.config)}
    for entry, run in upstreams.runs(results.config):
        name = _published_name(results, entry, run) if _base(results, entry, run) else ""
        figures, ste = (table.get(name, {}) for table in (published.S4_SUPERB, published.S4_STE))
        axes = _axes(entry, run)
        zeros = [found[replace(run, model=name)] for name in ZEROS]
        for task, measured in found[run].items():
            zero = better(task, zeros)["metrics"]
            for metric, value in measured["metrics"].items():
                over = difference(value, zero[metric])
                yield {
                    **axes,
                    "task": task,
                    "metric": metric,
                    "value": value["value"],
                    "value_low": value["low"],
                    "value_high": value["high"],
                    "chance": value["chance"],
                    **{"over_zero": over.value, "over_zero_low": over.low, "over_zero_high": over.high},
                    "scored": value["scored"],
                    "higher_is_better": value["higher_is_better"],
                    "published": figures.get((task, metric)) if _official(entry, task) else None,
                    "published_ste": ste.get((task, metric)) if _official(entry, task) else None,
                    "notes": measured["notes"],
                    "source": run.scores,
                }
        scale = scale_of(entry["tasks"], zeros, found[replace(run, model=TEACHER)])
        if scale.tasks:
            yield {**axes, **_score(scale, run, found[run], figures)}


def _score(scale: Scale, run: UpstreamRun, measured: Mapping[str, Any], figures: Mapping[Any, float]) -> dict[str, Any]:
    """The row of an encoder's score, with its interval, but for those that are the ends of the scale.

    The published one is beside it on SUPERB's scale alone.
    """
    ends = () if scale.name == SUPERB else (*ZEROS, TEACHER)
    value, step = scale.score(scored(measured)), NORMAL_95 * score_error(scale, measured)
    interval = {} if run.model in ends else {"value_low": value - step, "value_high": value + step}
    sources = dict.fromkeys(replace(run, model=name).scores for name in (run.model, *ends))
    return {
        "task": SCORE,
        "metric": scale.name,
        "value": value,
        **interval,
        "published": figures.get((SCORE, SCORE)) if scale.name == SUPERB else None,
        "notes": " ".join(scale.tasks),
        "source": " ".join(sources),
    }


def structured(results: Results) -> Iterator[dict[str, Any]]:
    """What is left of every encoder, and how much faster it is: a row for each size that was timed."""
    for entry in results.config["ssl"]:
        for seed in results.config["seeds"]:
            for base in upstreams.sizes(entry):
                timed = EncoderTimes(results, entry["name"], seed, base)
                durations = timed.facts["utterances"].values()
                for name, row in timed.models.items():
                    run = UpstreamRun(entry["name"], name, seed)
                    ratio, low, high = row["ratio"]
                    about: dict[str, Any] = {"source": timed.source}
                    if name != AGAIN:
                        about = _student(results, entry, run) | _published_speed(results, entry, run, base)
                        about["source"] = " ".join(filter(None, (timed.source, _record(results, entry, run))))
                    yield {
                        **_axes(entry, run),
                        **about,
                        "size": "WavLM base's, random weights" if base else OWN,
                        **{key: row[key] for key in ("parameters", "macs_per_second")},
                        "audio_seconds": sum(durations),
                        "utterances": len(durations),
                        "seconds": latency(timed.rows(name))["total_s"] * len(durations),
                        **{"speedup": 1 / ratio, "speedup_low": 1 / high, "speedup_high": 1 / low},
                        **{key: timed.facts[key] for key in ("device", "threads")},
                        **timed.sound,
                    }


def gates(results: Results) -> Iterator[dict[str, Any]]:
    """How the gates of blocks closed in training, and the sparsity and its price with them."""
    for entry, run in upstreams.runs(results.config):
        if not upstreams.pruned(entry, run):
            continue
        source = f"{run.folder}/gates.tsv"
        for row in results.tsv(source, "step", "z_mha", "z_ffn", "sparsity", "target"):
            yield {**_axes(entry, run), **row, "source": source}


def blocks(results: Results) -> Iterator[dict[str, Any]]:
    """Parameters of the attention and feed-forward blocks of every layer that are left, with biases.

    Norms and position biases, which nothing is pruned of, are left out.
    """
    for entry, run in upstreams.runs(results.config):
        if run.model in BASELINES:
            continue
        found, source = blocks_of(results, entry, run)
        for layer, attention, feed_forward in found:
            sizes = {"layer": layer, "attention": attention, "feed_forward": feed_forward}
            yield {**_axes(entry, run), **sizes, "source": source}


def blocks_of(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> tuple[list[tuple[int, int, int]], str]:
    """(layer, parameters of its attention, of its feed-forward block) of an encoder, and the file that says so."""
    source = f"{_folder(results, entry, run)}/config.json"
    config = of_whisper(results.json(source, "model_type"))
    width, heads = config["hidden_size"], config["num_attention_heads"]
    whole = {"heads": range(heads), "qk": [width // heads] * heads, "vo": [width // heads] * heads}
    whole["ffn"] = config["intermediate_size"]
    biases = 1 if config["model_type"] == WHISPER else 2  # of queries and keys
    found = []
    for layer, shape in enumerate(config.get("layers") or [whole] * config["num_hidden_layers"], 1):
        qk, vo, ffn = sum(shape["qk"]), sum(shape["vo"]), shape["ffn"] or 0
        attention = 0 if shape["heads"] is None else (2 * width + biases) * qk + (2 * width + 1) * vo + width
        found.append((layer, attention, 0 if shape["ffn"] is None else (2 * width + 1) * ffn + width))
    return found, source


def _official(entry: Mapping[str, Any], task: str) -> bool:
    """Whether a task of an entry is SUPERB's own, on its own data."""
    return entry.get("tasks", {}).get(task, {}).get("source") == "official"


def _base(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> bool:
    """Whether the teacher of an encoder has the shape of the published ones."""
    config = results.json(f"{_folder(results, entry, replace(run, model=TEACHER))}/config.json", "model_type")
    return all(config.get(key) == value for key, value in BASE.items())


def _published_speed(results: Results, entry: Mapping[str, Any], run: UpstreamRun, base: bool) -> dict[str, float]:
    """What S4 has of an encoder that was made alike: its speed-up, which is relative, beside all sizes.

    Its parameters stand only beside an encoder of that size that was itself trained on the same language, English read
    by LibriSpeech's speakers.
    """
    found = dict(published.S4_SPEED.get(_published_name(results, entry, run), {}))
    recipe = results.config["corpora"][entry["corpus"]]["recipe"]
    if base or recipe != published.S4_CORPUS or not _base(results, entry, run):
        found.pop("published_parameters", None)
    return found


def _axes(entry: Mapping[str, Any], run: UpstreamRun) -> dict[str, Any]:
    return {"corpus": entry["corpus"], "upstream": run.name, "model": run.model, "seed": run.seed}


def _folder(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> str:
    """The checkpoint of an encoder, relative to the study's folder."""
    if run.model != TEACHER:
        return run.folder
    return Path(os.path.relpath(upstreams.teacher_folder(entry, run.seed, str(results.root)), results.root)).as_posix()


def _record(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> str:
    """The `run.json` of an encoder's training; empty for a teacher that was given."""
    return "" if run.model == TEACHER and entry["folder"] else f"{_folder(results, entry, run)}/run.json"


def _student(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> dict[str, Any]:
    """How an encoder was made."""
    record = _record(results, entry, run)
    facts = results.json(record, "steps") if record else {}
    names = {"expected_sparsity": "expected", **dict.fromkeys(("reached", "sparsity", "conv_sparsity", "polarisation"))}
    names |= dict.fromkeys(("missed", "steps", "cpu_seconds"))
    second = facts.get("second") or {}
    facts = {new or key: facts.get(key) for key, new in names.items()}
    facts |= {f"second_{key}": second.get(key) for key in ("before", "after")}
    if run.model == TEACHER:
        return {"type": TEACHER, **facts, "sparsity": 0.0}
    student = upstreams.student_of(entry, run.model)
    made = {"type": student["type"], "target": student.get("target"), "sparsity_target": student.get("sparsity")}
    if upstreams.gated(student):
        made |= {"fahp": {"qk", "vo"} <= set(student["kinds"]), "ste": student["straight_through"]}
    return made | facts


def _published_name(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> str:
    """The row of the document's tables that an encoder is like; empty where there is none."""
    if run.model in BASELINES:
        return ""
    teacher = _folder(results, entry, replace(run, model=TEACHER))
    kind = results.json(f"{teacher}/config.json", "model_type")["model_type"]
    if run.model == TEACHER:
        return NAMES.get(kind, "")
    student = upstreams.student_of(entry, run.model)
    if student["type"] == "layers":
        return "" if student.get("strategy") or student.get("depths") else DISTILLED.get(kind, "")
    if student["type"] != "gates" or kind != "wavlm" or student["sparsity"] != published.S4_SPARSITY:
        return ""
    if student.get("conv_sparsity"):
        return ""  # the document prunes no convolution
    if set(student["kinds"]) == set(FINE):
        return "Proposed" if student["straight_through"] else "w/o STE"
    return "w/o FAHP" if set(student["kinds"]) == set(WHOLE_HEADS) and student["straight_through"] else ""


def own(tables: Mapping[str, list[dict[str, str]]]) -> list[dict[str, str]]:
    """The rows of `structured` about encoders of their own size."""
    return [row for row in tables["structured"] if row["size"] == OWN and row["model"] != AGAIN]
