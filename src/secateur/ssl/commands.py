"""The jobs of self-supervised encoders: targets, pretraining, distillation, tasks and speed."""

from collections.abc import Mapping, Sequence
from typing import Any

from secateur.core.options import schema
from secateur.layers.strategies import STRATEGIES
from secateur.models import types
from secateur.ssl import study as upstreams
from secateur.ssl.known_tasks import TASKS
from secateur.ssl.options import PredictionOptions
from secateur.study.command import Command
from secateur.study.paths import Paths

Entry = Mapping[str, Any]


def entry_of(paths: Paths, at: Any) -> Entry:
    """The entry of `ssl` that a job is about."""
    return upstreams.entry_of(paths.config, at.upstream)


def part_of(at: Any) -> str:
    """The student, or the iteration of pretraining, that a job makes."""
    return at.student if hasattr(at, "student") else upstreams.iteration(int(at.number))


def students(paths: Paths, gated: bool) -> list[str]:
    """Names of the students that are pruned through gates, or of the others."""
    found = [student for entry in paths.config["ssl"] for student in entry["students"]]
    return [student["name"] for student in found if upstreams.gated(student) == gated]


def targets(paths: Paths, at: Any) -> Command:
    """The targets of an iteration of pretraining: clusters of MFCCs, of a guide's layer, or of the encoder before."""
    entry, number = entry_of(paths, at), int(at.number)
    step = _step(entry, number)
    guide = step["guide"] or None
    before = _iteration(paths, at, number - 1) if number > 1 and not guide else None
    options = {
        "hop": upstreams.hop(entry["encoder"]),
        "clusters": step["clusters"],
        "frames": step["frames"],
        "seed": at.seed,
        "device": paths.config["device"],
        **_audio(paths, entry),
        "encoder": before,
        "guide": guide,
        "layer": step["layer"] or None,
    }
    files, modules = [*_audio_files(paths, entry), *(_encoder(before) if before else ())], []
    if guide:
        files += [f"{guide}/model.safetensors", f"{guide}/model.json"]
        modules = [upstreams.GUIDES, *(types.module(kind) for kind in types.of("models"))]
    return Command("ssl_targets", options, tuple(files), tuple(modules))


def pretrain(paths: Paths, at: Any) -> Command:
    """An iteration of pretraining."""
    entry, number = entry_of(paths, at), int(at.number)
    step, pretraining = _step(entry, number), entry["pretraining"]
    folder = f"{paths.root}/{upstreams.folder(at.upstream, upstreams.targets(number), at.seed)}"
    again = _iteration(paths, at, number - 1) if step["again"] else None
    head = {name: pretraining[name] for name in schema(PredictionOptions)["properties"]}
    options = {
        "encoder": entry["encoder"],
        "head": {"clusters": step["clusters"], **head},
        "targets": folder,
        "training": paths.config["training"][step["training"]],
        "crop_seconds": pretraining["crop_seconds"],
        "seed": at.seed,
        "device": paths.config["device"],
        **_audio(paths, entry),
        "start": again,
    }
    made = [f"{folder}/{name}" for name in ("targets.ark", "targets.scp", "targets.crc32", "clusters.json")]
    return Command("ssl_pretrain", options, (*made, *(_encoder(again) if again else ()), *_audio_files(paths, entry)))


def distill(paths: Paths, at: Any) -> Command:
    """A student of an encoder."""
    entry, config = entry_of(paths, at), paths.config
    student = upstreams.student_of(entry, at.student)
    teacher = upstreams.teacher_folder(entry, at.seed, paths.root)
    options = {
        "teacher": teacher,
        "student": {key: value for key, value in student.items() if key not in ("name", "training", "second")},
        "log_every": entry["log_every"],
        "training": config["training"][upstreams.training_of(entry, at.student)],
        "second": config["training"][student["second"]] if student["second"] else None,
        "crop_seconds": entry["crop_seconds"],
        "seed": at.seed,
        "device": config["device"],
        **_audio(paths, entry),
    }
    modules = (STRATEGIES.named(student["strategy"]).module,) if student.get("strategy") else ()
    return Command("ssl_distill", options, (*_encoder(teacher), *_audio_files(paths, entry)), modules)


def superb(paths: Paths, at: Any) -> Command:
    """What an upstream scores in the tasks."""
    entry, own = entry_of(paths, at), at.student not in upstreams.ZEROS
    local = any(options["source"] == "directories" for options in entry["tasks"].values())
    folder = _upstream(paths, entry, at.student, at.seed) if own else at.student
    options = {
        "upstream": folder,
        "random": at.student == upstreams.RANDOM,
        "tasks": entry["tasks"],
        "seed": at.seed,
        "device": paths.config["device"],
        "rate": entry["rate"] or None,
    }
    if local:
        names = {"languages": entry["languages"], "splits": entry["splits"]}
        options |= {"data": f"{paths.root}/data/{entry['corpus']}"} | names
    files = _audio_files(paths, entry, ("train", "dev", "test")) if local else ()
    modules = tuple(TASKS.named(task).module for task in entry["tasks"])
    return Command("superb_task", options, (*files, *(_encoder(folder) if own else ())), modules)


def speed(paths: Paths, at: Any) -> Command:
    """How fast the encoders of an entry are, of their own size or of WavLM base's."""
    entry, base = entry_of(paths, at), at.size == "base"
    names = [upstreams.TEACHER, *(student["name"] for student in entry["students"])]
    folders = [_upstream(paths, entry, name, at.seed) for name in names]
    options = {
        "encoders": folders,
        "names": names,
        "data": _audio(paths, entry, ("dev",))["dev"],
        "runs": entry["speed"]["runs"],
        "device": paths.config["device"],
        "most_seconds": entry["speed"]["base" if base else "seconds"] or None,
        "utterances": entry["speed"]["utterances"],
        "base": base,
    }
    encoders = [file for folder in folders for file in _encoder(folder)]
    return Command("ssl_speed", options, (*encoders, *_audio_files(paths, entry, ("dev",))))


def _step(entry: Entry, number: int) -> Mapping[str, Any]:
    """An iteration of an entry's pretraining."""
    return entry["pretraining"]["iterations"][number - 1]


def _iteration(paths: Paths, at: Any, number: int) -> str:
    return f"{paths.root}/{upstreams.folder(at.upstream, upstreams.iteration(number), at.seed)}"


def _encoder(folder: str) -> tuple[str, ...]:
    return f"{folder}/config.json", f"{folder}/model.safetensors"


def _upstream(paths: Paths, entry: Entry, model: str, seed: str) -> str:
    """The checkpoint that tasks are scored on."""
    if model in (upstreams.TEACHER, upstreams.RANDOM):
        return upstreams.teacher_folder(entry, seed, paths.root)
    return f"{paths.root}/{upstreams.folder(entry['name'], model, seed)}"


def _audio(paths: Paths, entry: Entry, splits: Sequence[str] = ("train", "dev")) -> dict[str, list[str]]:
    """The data directories of an entry's languages, by what they serve as."""
    root = f"{paths.root}/data/{entry['corpus']}"
    return {name: [f"{root}/{language}/{entry['splits'][name]}" for language in entry["languages"]] for name in splits}


def _audio_files(paths: Paths, entry: Entry, splits: Sequence[str] = ("train", "dev")) -> tuple[str, ...]:
    found = [paths.validation(entry["corpus"])]
    for language in entry["languages"]:
        for name in splits:
            found += paths.data(entry["corpus"], language, entry["splits"][name])
    return tuple(found)
