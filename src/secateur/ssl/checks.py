"""The section `ssl`: self-supervised encoders, their students, and tasks."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.core.options import schema as schema_of
from secateur.core.plugins import closed
from secateur.layers.strategies import SIMILARITY, STRATEGIES, needs
from secateur.models import types
from secateur.models.formats import RATE
from secateur.models.upstream.config import TYPES, WHISPER, WINDOW_SHIFT, of_whisper
from secateur.speech import corpora
from secateur.ssl import study as upstreams
from secateur.ssl.known_tasks import TASKS, missing, official_files
from secateur.ssl.options import HeadTraining, HiddenAugment
from secateur.study.checks import taken, unknown, untrained

BASE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "num_conv_pos_embedding_groups": 16,
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": list(upstreams.HOP),
    "conv_bias": False,
    "feat_extract_norm": "group",
}
"""WavLM base's, where a configuration does not say."""
MODEL_TYPES = (*TYPES, WHISPER)
"""Of teachers that a folder gives."""
MAGNITUDE = ("qk", "vo", "int")
"""What magnitude pruning removes."""


def fill_schema(schema: dict[str, Any]) -> None:
    """Name the tasks, with their options, in the schema of tasks, in place."""
    schema["$defs"]["training"] |= schema_of(HeadTraining)
    schema["$defs"]["specaug"] |= schema_of(HiddenAugment)
    common = {key: {"$ref": f"#/$defs/{key}", "default": schema["$defs"][key]["default"]} for key in ("source", "root")}
    for name, task in TASKS.all().items():
        own = " Official data alone." if missing(name) else ""
        schema["$defs"]["tasks"]["properties"][name] = {
            "description": task.summary + own,
            **closed(task.options, **common),
        }


def expand(config: dict[str, Any]) -> None:
    """Put a list of languages in the place of none, which is all of them."""
    for entry in config["ssl"]:
        if entry["corpus"] not in config["corpora"]:
            continue  # `problems` will say so
        entry["languages"] = entry["languages"] or list(config["corpora"][entry["corpus"]]["languages"])
        for options in entry["tasks"].values():
            if "languages" in options:
                options["languages"] = options["languages"] or list(entry["languages"])


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong in this section."""
    names = [entry["name"] for entry in config["ssl"]]
    for index, entry in enumerate(config["ssl"]):
        where = f"ssl[{index}]"
        yield from taken(where, names, index)
        if entry["corpus"] not in config["corpora"]:
            yield unknown(f"{where}.corpus", entry["corpus"], "corpora", config["corpora"])
            continue
        corpus = config["corpora"][entry["corpus"]]
        for language in entry["languages"]:
            if language not in corpus["languages"]:
                place = f"corpora.{entry['corpus']}.languages"
                yield unknown(f"{where}.languages", language, place, corpus["languages"])
        for use, split in entry["splits"].items():
            if split not in corpora.split_names(corpus):
                allowed = corpora.split_names(corpus)
                yield unknown(f"{where}.splits.{use}", split, f"the splits of {entry['corpus']!r}", allowed)
        yield from _teacher(config, where, entry)
        yield from _students(config, where, entry)
        for task, options in entry["tasks"].items():
            yield from _task(f"{where}.tasks.{task}", task, options, entry)


def _teacher(config: Mapping[str, Any], where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    if bool(entry["folder"]) == bool(entry["encoder"]):
        yield f"{where}: allowed: `folder` of a teacher, or an `encoder` to pretrain; one of them"
    if bool(entry["encoder"]) != bool(entry["pretraining"]):
        yield f"{where}.pretraining: allowed with `encoder`: how it is pretrained; with `folder`: null"
    if entry["encoder"]:
        yield from _encoder(f"{where}.encoder", entry["encoder"])
    elif entry["folder"]:
        yield from _given(f"{where}.folder", entry["folder"])
    if not entry["pretraining"]:
        return
    hop = upstreams.hop(entry["encoder"] or {})
    if hop % 160:
        yield f"{where}.encoder.conv_stride: frames every {hop} samples; allowed: multiples of 160, that of MFCCs"
    for number, iteration in enumerate(entry["pretraining"]["iterations"]):
        below = f"{where}.pretraining.iterations[{number}]"
        yield from untrained(config, below, iteration)
        if iteration["guide"]:
            yield from _guide(below, iteration)
        if number == 0 and (iteration["again"] or (iteration["layer"] and not iteration["guide"])):
            yield f"{below}: `layer` and `again`; allowed from the second iteration on, the first clusters MFCCs"
        elif iteration["guide"]:
            continue
        elif iteration["layer"] and entry["encoder"] and iteration["layer"] > _depth(entry["encoder"]):
            yield f"{below}.layer: {iteration['layer']}; allowed: 1 to {_depth(entry['encoder'])}"


def _guide(where: str, iteration: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the acoustic model whose layer is clustered."""
    folder = Path(iteration["guide"])
    try:
        model = json.loads((folder / "model.json").read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError):
        yield f"{where}.guide: {folder}; allowed: a checkpoint of this project, with model.json and model.safetensors"
        return
    if model["type"] not in (guides := types.of("models")):
        yield f"{where}.guide: {folder} is of type {model['type']}; allowed: {', '.join(guides)}"
    elif (iteration["layer"] or 1) > model["encoder"]["layers"]:
        yield f"{where}.layer: {iteration['layer']}; allowed: 1 to {model['encoder']['layers']}, those of {folder}"


def _encoder(where: str, encoder: Mapping[str, Any]) -> Iterator[str]:
    """Keys of another front end, and sizes that do not fit together."""
    if encoder.get("front_end") == upstreams.MEL:
        for key in sorted(set(upstreams.CONVOLUTIONS) & set(encoder)):
            yield f"{where}.{key}: of convolutions; allowed with `front_end: waves`"
    yield from _unfit(where, encoder)


def _unfit(where: str, encoder: Mapping[str, Any]) -> Iterator[str]:
    sizes = BASE | dict(encoder)
    width = sizes["hidden_size"]
    for key in ("num_attention_heads", "num_conv_pos_embedding_groups"):
        if width % sizes[key]:
            yield f"{where}.{key}: {sizes[key]} does not divide hidden_size = {width}"
    lengths = {key: len(sizes[key]) for key in ("conv_dim", "conv_kernel", "conv_stride")}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        yield f"{where}: {found}; allowed: one value a convolution in each of them"


def _given(where: str, folder: str) -> Iterator[str]:
    """What is wrong with a teacher's folder. Files that are missing are named by Snakemake."""
    try:
        found = _described(folder)
    except ValueError as error:
        yield f"{where}: {folder}/config.json is not JSON: {error}"
        return
    if found is not None and found.get("model_type") not in MODEL_TYPES:
        yield f"{where}: {folder} has a model of type {found.get('model_type')!r}; allowed: {', '.join(MODEL_TYPES)}"


def _described(folder: str) -> dict[str, Any] | None:
    """The `config.json` of a teacher's folder; None if it is not there. Raises ValueError if it is no JSON object."""
    path = Path(folder, "config.json")
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError("it holds no object")
    return dict(of_whisper(found))


def sizes(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """The teacher's configuration, as far as it can be known before anything runs."""
    try:
        found = entry["encoder"] or (_described(entry["folder"]) if entry["folder"] else None)
    except ValueError:
        return None
    if found is None or found.get("model_type") not in MODEL_TYPES or any(_unfit("", found)):
        return None  # that is wrong by itself
    return BASE | dict(found)


def _students(config: Mapping[str, Any], where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    names = [student["name"] for student in entry["students"]]
    teacher = sizes(entry)
    if teacher and teacher["model_type"] == WHISPER:
        window = teacher["num_conv_pos_embeddings"] * WINDOW_SHIFT / RATE
        if entry["crop_seconds"] > window:
            yield f"{where}.crop_seconds: {entry['crop_seconds']:g}; allowed: up to {window:g}, Whisper's window"
    for number, student in enumerate(entry["students"]):
        below = f"{where}.students[{number}]"
        yield from taken(below, names, number)
        if student["name"] in upstreams.RESERVED or student["name"].startswith(("iteration", "targets", "speed")):
            yield f"{below}.name: {student['name']!r} is the name of something else; allowed: any other"
        yield from untrained(config, below, student)
        if student["second"] and student["second"] not in config["training"]:
            yield unknown(f"{below}.second", student["second"], "training", config["training"])
        training = config["training"].get(student["training"], {})
        several = training.get("processes", 1) * training.get("nodes", 1) > 1
        if student.get("target") == "latency" and several:
            yield f"{below}.target: latency, which every process would measure anew; allowed with one process"
        for key in ("depths", "second") if several else ():
            if student.get(key):
                yield f"{below}.{key}: {student[key]}, a training after another; allowed with one process"
        if student["type"] == "layers":
            yield from _on_the_way(below, student)
        if student["distil"] != sorted(student["distil"]):
            yield f"{below}.distil: {student['distil']}; allowed: layers in ascending order"
        if teacher:
            yield from _fits(below, student, teacher)


def _on_the_way(where: str, student: Mapping[str, Any]) -> Iterator[str]:
    """Numbers of layers that do not lead down to those of a student of some layers."""
    depths, last = student["depths"], student["layers"]
    if [*depths, last] != sorted({*depths, last}, reverse=True):
        yield f"{where}.depths: {depths}; allowed: descending numbers, above {last}, that of `layers`"


def _fits(where: str, student: Mapping[str, Any], teacher: Mapping[str, Any]) -> Iterator[str]:
    """What a teacher of these sizes cannot serve."""
    depth = _depth(teacher)
    if max(student["distil"]) > depth:
        yield f"{where}.distil: {max(student['distil'])}; allowed: 1 to {depth}, the teacher's layers"
    if student["type"] == "layers":
        if student["layers"] > depth:
            yield f"{where}.layers: {student['layers']}; allowed: 1 to {depth}"
        if (most := max(student["depths"], default=0)) >= depth:
            yield f"{where}.depths: {most}; allowed: below {depth}, the number of the teacher's layers"
        fit = [name for name in STRATEGIES.names() if SIMILARITY not in needs(name)]
        if student.get("strategy") not in (None, *fit):
            yield unknown(f"{where}.strategy", student["strategy"], "the strategies that compare no layers", fit)
        return
    if teacher.get("layers"):
        yield f"{where}.type: {student['type']!r} of a teacher that is pruned already; allowed: layers"
        return
    if upstreams.gated(student) and student["conv_sparsity"] and teacher.get("front_end") == upstreams.MEL:
        yield f"{where}.conv_sparsity: {student['conv_sparsity']:g} of a teacher without convolutions; allowed: 0"
    elif upstreams.gated(student) and student["conv_sparsity"] and teacher["model_type"] == WHISPER:
        yield f"{where}.conv_sparsity: {student['conv_sparsity']:g} of Whisper, whose convolutions stay; allowed: 0"
    elif upstreams.gated(student) and student["conv_sparsity"] > (most := greatest_front_sparsity(teacher)):
        yield (
            f"{where}.conv_sparsity: {student['conv_sparsity']:g}; allowed: up to {int(most * 1000) / 1000:g}, with "
            "one channel left of every convolution"
        )
    if student.get("target", "parameters") != "parameters":
        return  # what can be reached of multiply-adds or time depends on more than sizes
    most = greatest_sparsity(teacher, student["kinds"] if upstreams.gated(student) else MAGNITUDE)
    if student["sparsity"] > most:
        yield (
            f"{where}.sparsity: {student['sparsity']:g}; allowed: up to {int(most * 1000) / 1000:g}, "
            "when all that it may remove is gone"
        )


def greatest_sparsity(encoder: Mapping[str, Any], kinds: Collection[str]) -> float:
    """The share of the parameters of a Transformer layer's blocks that is gone when all gates of these kinds close.

    Counts as `secateur.ssl.gated.remaining` does. `encoder`: a configuration, with its sizes.
    """
    width, heads, units = (encoder[key] for key in ("hidden_size", "num_attention_heads", "intermediate_size"))
    wavlm, whisper = (encoder["model_type"] == kind for kind in ("wavlm", WHISPER))
    rest = width + (8 * (width // heads + 1) if wavlm else 0)  # output bias, gate of the position bias
    queries, values, constants = (2 * (width + 1) - whisper) * width, (2 * width + 1) * width, heads * wavlm
    attention, feed_forward = queries + values + constants + rest, (2 * width + 1) * units + width
    left = attention + feed_forward
    if "mha" in kinds:
        left -= attention
    elif {"heads", "vo"} & set(kinds):
        left -= attention - rest
    elif "qk" in kinds:
        left -= queries
    if "ffn" in kinds:
        left -= feed_forward
    elif "int" in kinds:
        left -= feed_forward - width
    return 1 - left / (attention + feed_forward)


def greatest_front_sparsity(encoder: Mapping[str, Any]) -> float:
    """The share of the front end's parameters that is gone with one channel left of every convolution.

    Counts as `secateur.ssl.channels.remaining` does.
    """

    over_channels = encoder["feat_extract_norm"] == "layer" or encoder["model_type"] == "data2vec-audio"

    def parameters(widths: Sequence[int]) -> int:
        total, inputs = 0, 1
        for place, (width, kernel) in enumerate(zip(widths, encoder["conv_kernel"], strict=True)):
            normed = place == 0 or over_channels
            total, inputs = total + width * (inputs * kernel + encoder["conv_bias"] + 2 * normed), width
        return total + inputs * (encoder["hidden_size"] + 2) + encoder["hidden_size"]

    return 1 - parameters([1] * len(encoder["conv_dim"])) / parameters(encoder["conv_dim"])


def _task(where: str, task: str, options: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[str]:
    if options["source"] == "official":
        for name in official_files(task):
            if not options[name]:
                yield f"{where}.{name}: null; allowed with `source: official`: where the data lies"
    elif reason := missing(task):
        yield f"{where}: {reason}; allowed: `source: official`, or without this task"
    else:
        for language in options["languages"]:
            if language not in entry["languages"]:
                yield unknown(f"{where}.languages", language, "the languages of the entry", entry["languages"])


def _depth(encoder: Mapping[str, Any]) -> int:
    return encoder.get("num_hidden_layers", BASE["num_hidden_layers"])
