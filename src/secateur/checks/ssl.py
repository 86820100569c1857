"""The section `ssl`: self-supervised encoders, their students, and tasks."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur import corpora, upstreams
from secateur.checks import unknown

OFFICIAL = {"er": "has no labels of emotions", "sf": "has no slots"}
"""Tasks that no corpus of transcribed speech carries, and why."""
FURTHER = {"ks": ("test_root",), "sid": ("split_file",), "sv": ("trials",)}
"""What official data of a task needs beside `root`."""
ENCODER_LAYERS = 12
"""Of WavLM base, where a configuration does not say."""


def spell_out(config: dict[str, Any]) -> None:
    """Put a list of languages in the place of none, which is all of them."""
    for entry in config["ssl"]:
        if entry["corpus"] not in config["corpora"]:
            continue  # _contradictions will say so
        entry["languages"] = entry["languages"] or list(config["corpora"][entry["corpus"]]["languages"])
        for options in entry["tasks"].values():
            if "languages" in options:
                options["languages"] = options["languages"] or list(entry["languages"])


def contradictions(config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong in this section."""
    names = [entry["name"] for entry in config["ssl"]]
    for index, entry in enumerate(config["ssl"]):
        where = f"ssl[{index}]"
        if names.index(entry["name"]) != index:
            yield f"{where}.name: {entry['name']!r} is taken; allowed: a name of its own"
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
    if not entry["pretraining"]:
        return
    hop = upstreams.hop(entry["encoder"] or {})
    if hop % 160:
        yield f"{where}.encoder.conv_stride: frames every {hop} samples; allowed: multiples of 160, that of MFCCs"
    for number, iteration in enumerate(entry["pretraining"]["iterations"]):
        below = f"{where}.pretraining.iterations[{number}]"
        yield from _training(config, below, iteration)
        if number == 0 and (iteration["layer"] or iteration["again"]):
            yield f"{below}: `layer` and `again`; allowed from the second iteration on, the first clusters MFCCs"
        elif iteration["layer"] and iteration["layer"] > _depth(entry):
            yield f"{below}.layer: {iteration['layer']}; allowed: 1 to {_depth(entry)}"


def _students(config: Mapping[str, Any], where: str, entry: Mapping[str, Any]) -> Iterator[str]:
    names = [student["name"] for student in entry["students"]]
    for number, student in enumerate(entry["students"]):
        below = f"{where}.students[{number}]"
        if names.index(student["name"]) != number:
            yield f"{below}.name: {student['name']!r} is taken; allowed: a name of its own"
        if student["name"] in upstreams.RESERVED or student["name"].startswith(("iteration", "targets", "speed")):
            yield f"{below}.name: {student['name']!r} is the name of something else; allowed: any other"
        yield from _training(config, below, student)
        if student["distil"] != sorted(student["distil"]):
            yield f"{below}.distil: {student['distil']}; allowed: layers in ascending order"
        if entry["encoder"]:
            if student["distil"][-1] > _depth(entry):
                yield f"{below}.distil: {student['distil'][-1]}; allowed: 1 to {_depth(entry)}, the teacher's layers"
            if student["type"] == "layers" and student["layers"] > _depth(entry):
                yield f"{below}.layers: {student['layers']}; allowed: 1 to {_depth(entry)}"


def _training(config: Mapping[str, Any], where: str, part: Mapping[str, Any]) -> Iterator[str]:
    if part["training"] not in config["training"]:
        yield unknown(f"{where}.training", part["training"], "training", config["training"])


def _task(where: str, task: str, options: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[str]:
    if options["source"] == "official":
        for name in ("root", *FURTHER.get(task, ())):
            if not options[name]:
                yield f"{where}.{name}: null; allowed with `source: official`: where the data lies"
    elif task in OFFICIAL:
        yield f"{where}: a corpus {OFFICIAL[task]}; allowed: `source: official`, or without this task"
    else:
        for language in options["languages"]:
            if language not in entry["languages"]:
                yield unknown(f"{where}.languages", language, "the languages of the entry", entry["languages"])


def _depth(entry: Mapping[str, Any]) -> int:
    return (entry["encoder"] or {}).get("num_hidden_layers", ENCODER_LAYERS)
