"""What a study runs of self-supervised encoders (S4), and where it goes. No heavy imports.

Everything of an entry of `ssl` is in `upstreams/{name}`: `targets1`, `iteration1`, … of its pretraining, a folder for
every student, `teacher` and `fbank` for what those score, and below each one folder a seed.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TEACHER, FBANK, CMVN, RANDOM = "teacher", "fbank", "fbank-cmvn", "random"
ZEROS = (FBANK, CMVN)
"""Log-mel features as they are, and normalised per clip: what an encoder has to beat."""
BASELINES = (*ZEROS, RANDOM)
"""What nothing trained: log-mel features, and an encoder like the teacher with random weights."""
RESERVED = (TEACHER, *BASELINES)
HOP = (5, 2, 2, 2, 2, 2, 2)
"""Strides of the base models' feature extractor."""
MEL, MEL_SHIFT = "mel", 160
"""The front end without convolutions, and samples from one frame of it to the next."""
CONVOLUTIONS = ("conv_dim", "conv_stride", "conv_kernel", "conv_bias", "feat_extract_norm", "do_normalize")
"""What configurations say of convolutions."""


GUIDES = "secateur.ssl.guides"
"""What reads the layer of a guide; targets import it by name, if they have one."""


@dataclass(frozen=True)
class UpstreamRun:
    """One encoder (or log-mel features) that is trained, or that tasks are scored on.

    Attributes:
        name: of the entry of `ssl`.
        model: `teacher`, one of BASELINES, the name of a student, or an iteration of pretraining.
    """

    name: str
    model: str
    seed: int

    @property
    def folder(self) -> str:
        """Folder of the run, relative to the study's results."""
        return folder(self.name, self.model, self.seed)

    @property
    def scores(self) -> str:
        """What the tasks measured."""
        return f"{self.folder}/superb/scores.json"


def folder(name: str, part: str, seed: int) -> str:
    """Folder of a part of an entry: a student, `iteration1`, `targets1`, …"""
    return f"upstreams/{name}/{part}/seed{seed}"


def entry_of(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The entry of `ssl` with this name."""
    return next(entry for entry in config["ssl"] if entry["name"] == name)


def student_of(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The student of an entry with this name."""
    return next(student for student in entry["students"] if student["name"] == name)


def iterations(entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The iterations of an entry's pretraining by the parts that they are; none for a teacher that was given."""
    steps = entry["pretraining"]["iterations"] if entry["pretraining"] else []
    return {iteration(number): step for number, step in enumerate(steps, 1)}


def teacher_folder(entry: Mapping[str, Any], seed: int, root: str) -> str:
    """The teacher's checkpoint: a folder of the user's, or the last iteration of its pretraining below `root`."""
    if entry["folder"]:
        return entry["folder"]
    return f"{root}/{folder(entry['name'], [*iterations(entry)][-1], seed)}"


def iteration(number: int) -> str:
    """The part of an entry that an iteration of pretraining is, from 1."""
    return f"iteration{number}"


def targets(number: int) -> str:
    """The part of an entry that the targets of an iteration are."""
    return f"targets{number}"


def runs(config: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], UpstreamRun]]:
    """Everything that tasks are scored on, with its entry: what nothing trained, the teacher, the students."""
    for entry in config["ssl"]:
        for model in (*BASELINES, TEACHER, *(student["name"] for student in entry["students"])):
            for seed in config["seeds"]:
                yield entry, UpstreamRun(entry["name"], model, seed)


def gated(student: Mapping[str, Any]) -> bool:
    """Whether a student is pruned through gates, which leave a log."""
    return student["type"] == "gates"


def pruned(entry: Mapping[str, Any], run: UpstreamRun) -> bool:
    """Whether a run is a student that is pruned through gates."""
    return any(student["name"] == run.model and gated(student) for student in entry["students"])


def speed_file(name: str, seed: int, base: bool) -> str:
    """How fast the encoders of an entry are: of their own size, or (`base`) in WavLM base's."""
    return f"{folder(name, 'speed', seed)}/{'base' if base else 'own'}.json"


def hop(encoder: Mapping[str, Any]) -> int:
    """Samples from one frame to the next, of an encoder's configuration."""
    if encoder.get("front_end") == MEL:
        return MEL_SHIFT * encoder.get("mel_stack", 2)
    return math.prod(encoder.get("conv_stride", HOP))


def training_of(entry: Mapping[str, Any], part: str) -> str:
    """The entry of `training` that a part of an entry, a student or an iteration, is trained by."""
    return (iterations(entry).get(part) or student_of(entry, part))["training"]


def steps_to_come(config: Mapping[str, Any], entry: Mapping[str, Any], part: str) -> int:
    """Steps of the longest chain of trainings that a part of an entry begins: how urgent it is."""
    chain = [*iterations(entry)]
    if part not in chain:
        return own_steps(config, entry, part)
    students = [own_steps(config, entry, student["name"]) for student in entry["students"]]
    later = chain[chain.index(part) :]
    return sum(own_steps(config, entry, each) for each in later) + max(students, default=0)


def own_trainings(config: Mapping[str, Any], entry: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    """A part's trainings, one after another: one for each depth of a student, and its second distillation."""
    student = {} if part in iterations(entry) else student_of(entry, part)
    names = [training_of(entry, part)] * (1 + len(student.get("depths", ())))
    return [config["training"][name] for name in (*names, student.get("second")) if name]


def own_steps(config: Mapping[str, Any], entry: Mapping[str, Any], part: str) -> int:
    """Steps of all of a part's own trainings."""
    return sum(training["steps"] for training in own_trainings(config, entry, part))


def sizes(entry: Mapping[str, Any]) -> list[bool]:
    """Which sizes extraction is timed in: the encoders' own, and WavLM base's where that is wanted."""
    return [False, True] if entry["speed"]["base"] else [False]


def total_steps(config: Mapping[str, Any], entry: Mapping[str, Any], part: str) -> int:
    """Steps behind a part of an entry, from random weights on; of a teacher that was given, those here alone."""
    chain = [*iterations(entry)]
    if part in chain:
        again = iterations(entry)[part].get("again")
        before = chain[: chain.index(part)][-1:] if again else []
    else:
        before = chain[-1:]
    return own_steps(config, entry, part) + sum(total_steps(config, entry, each) for each in before)


def trained(config: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], UpstreamRun]]:
    """Every encoder that is trained, with its entry: the iterations of pretraining, then the students."""
    for entry in config["ssl"]:
        for part in (*iterations(entry), *(student["name"] for student in entry["students"])):
            for seed in config["seeds"]:
                yield entry, UpstreamRun(entry["name"], part, seed)


def trainings(config: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Axes and folder of every training of this section."""
    for entry, run in trained(config):
        axes = {"corpus": entry["corpus"], "model": f"{run.name}/{run.model}", "scope": "all", "seed": run.seed}
        yield axes, run.folder


def totals(config: Mapping[str, Any]) -> dict[str, int]:
    """The steps behind every training, by its folder."""
    return {run.folder: total_steps(config, entry, run.model) for entry, run in trained(config)}
