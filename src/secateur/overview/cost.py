"""What a study will cost before it runs: the jobs that train, their parameters, and the seconds of a step."""

import contextlib
import io
import json
import logging
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json
from secateur.pruning import methods
from secateur.ssl import study as upstreams
from secateur.study import runs as study
from secateur.study.graph import ancestors

CHARACTERS = 50  # in a token list that is not there yet
STEPS_TO_SCALE = 100  # a shorter run is mostly its beginning
AUDIO, TOKENS = "s of audio", "tokens"


@dataclass(frozen=True)
class Job:
    """A job that trains.

    Attributes:
        folder: its results, relative to the study's.
        corpus, model: names of entries of the configuration; the model may be a language model.
        type: the model's.
        kind: `dense`, `language model`, or how it is pruned.
        steps: optimiser steps.
        batch: seconds of audio in a batch; tokens for a language model.
        masks: how many masks it writes.
        after: folders of the jobs that it waits for.
        parameters: those of the model, 0 until they are counted.
        seconds: those of a step, NaN where nobody knows.
    """

    folder: str
    corpus: str
    model: str
    type: str
    kind: str
    steps: int
    batch: float
    masks: int = 0
    after: tuple[str, ...] = ()
    parameters: int = 0
    seconds: float = math.nan

    @property
    def hours(self) -> float:
        return self.steps * self.seconds / 3600

    @property
    def work(self) -> float:
        """What the time of a step is taken to grow with."""
        return self.parameters * self.batch

    @property
    def unit(self) -> str:
        """The unit of `batch`."""
        return TOKENS if self.kind == "language model" else AUDIO


@dataclass
class Measured:
    """What was trained in this folder on one kind of device, of models and batches of one type and size."""

    type: str
    unit: str
    device: str
    parameters: int
    batch: float
    steps: int = 0
    seconds: float = 0.0
    folders: list[Path] = field(default_factory=list)

    @property
    def source(self) -> str:
        more = f" and {len(self.folders) - 1} more" if len(self.folders) > 1 else ""
        return f"measured on {self.device} in {self.steps} steps ({self.folders[0]}{more})"

    def like(self, job: Job) -> bool:
        """Whether model and batch are those of the job; the length of the token list may differ a little."""
        same = (self.type, self.unit, self.batch) == (job.type, job.unit, job.batch)
        return same and abs(self.parameters / job.parameters - 1) < 0.01


def training_jobs(config: Mapping[str, Any]) -> list[Job]:
    """Every job of a study that trains: the models of the tables, what they are made from, and language models."""
    runs: dict[str, study.ModelRun] = {}
    language_models = {}
    for run in study.model_runs(config):
        runs |= ancestors(config, run)
        for search in study.searches(config, run):
            if lm := config["searches"][search].get("lm"):
                whole = config["language_models"][lm].get("pruned", {}).get("of")
                for name in filter(None, (whole, lm)):
                    folder, entry = study.lm_folder(run.corpus, name, run.seed), config["language_models"][name]
                    training = config["training"][entry["training"]]
                    amount = training["steps"], training["batch_tokens"]
                    language_models[folder] = Job(folder, run.corpus, name, entry["type"], "language model", *amount)
    jobs = []
    for run in runs.values():
        entry, parents = config["models"][run.model], study.parents(config, run)
        start = study.start(config, run)
        kind, masks, after = run.kind, 0, [start.folder] if start else []
        if parents:
            kind = methods.parse(run.method).name if parents.masks else kind
            masks = len(parents.masks) or int(study.leaves_masks(run))
            after = [parent.folder for parent in (parents.start, parents.ranked, *parents.masks.values()) if parent]
        steps = study.steps_of_job(config, run)
        batch = config["training"][study.training_of(config, run)]["batch_seconds"]
        jobs.append(Job(run.folder, run.corpus, run.model, entry["type"], kind, steps, batch, masks, tuple(after)))
    return jobs + list(language_models.values())


def encoder_notes(config: Mapping[str, Any]) -> list[str]:
    """What the hours leave out: trainings of self-supervised encoders, whose steps are of another kind."""
    trained = upstreams.trained(config)
    found = [training for entry, run in trained for training in upstreams.own_trainings(config, entry, run.model)]
    if not found:
        return []
    steps = sum(training["steps"] for training in found)
    seconds = sum(training["steps"] * training["batch_seconds"] for training in found)
    return [
        f"self-supervised encoders: {steps:,} training steps on {seconds / 3600:,.0f} hours of audio in all are in no "
        "hours above, nor are the heads of their tasks"
    ]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within the block ESPnet says nothing of what it does not find, on import, and of what it builds."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


@quiet()
def counted(directory: Path, config: Mapping[str, Any], jobs: Sequence[Job]) -> list[Job]:
    """The jobs with the parameters of their models, which are built without memory, on torch's meta device."""
    import torch
    from espnet.nets.pytorch_backend.transformer import attention  # noqa: F401

    from secateur.models.build import build_model

    parameters = {}
    for corpus, name in dict.fromkeys((job.corpus, job.model) for job in jobs):
        entry = config["models"].get(name) or config["language_models"][name]
        count = entry["own"]["tokens"] if "own" in entry else token_count(directory, config, corpus)
        tokens = ["?"] * count
        with torch.device("meta"):
            model = build_model({"features": config["features"]["mel_bins"]} | entry, tokens)
        parameters[corpus, name] = sum(parameter.numel() for parameter in model.parameters())
    return [replace(job, parameters=parameters[job.corpus, job.model]) for job in jobs]


def token_count(directory: Path, config: Mapping[str, Any], corpus: str) -> int:
    """The length of a corpus' token list; of characters that have not been counted yet, a guess."""
    file = directory / "results" / config["study"] / "tokens" / corpus / "tokens.txt"
    if file.is_file():
        return len(file.read_text(encoding="utf-8").splitlines())
    return config["tokens"]["size"] + 3 if config["tokens"]["type"] == "bpe" else CHARACTERS


def measurements(directory: Path) -> list[Measured]:
    """What was trained in this folder, in any study. Results that are broken or of another version are left out."""
    groups: dict[tuple, Measured] = {}
    for pattern, key, unit in (("models/*/*/*/*/*/*", "batch_seconds", AUDIO), ("lm/*/*/*", "batch_tokens", TOKENS)):
        for file in sorted(directory.glob(f"results/*/{pattern}/run.json")):
            try:
                record, model = read_json(file), read_json(file.with_name("model.json"))["config"]
                device = "a GPU" if record["device"].startswith("cuda") else f"{record['threads']} CPU thread(s)"
                numbers = stored_numbers(file.with_name("model.safetensors"))
                steps, seconds = record["steps"], record["seconds"]
                if not steps:  # read from a folder, or pruned without training
                    continue
                axes = (model["type"], unit, device, numbers, record["arguments"]["training"][key])
            except (KeyError, SecateurError):
                continue
            group = groups.setdefault(axes, Measured(*axes))
            group.steps, group.seconds = group.steps + steps, group.seconds + seconds
            group.folders.append(file.parent.relative_to(directory))
    return list(groups.values())


def stored_numbers(file: Path) -> int:
    """How many numbers a safetensors file holds, by its header. Raises SecateurError if it is not one."""
    try:
        with open(file, "rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
    except (OSError, ValueError, struct.error) as error:
        raise SecateurError(f"{file}: not a safetensors file ({error}); delete it and run again") from error
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def timed(jobs: Sequence[Job], measured: Sequence[Measured], speed: float | None) -> tuple[list[Job], list[str]]:
    """The jobs with the seconds of their steps, as far as they can be known; and where from, a line for each model.

    A step takes as long as that of the measured model with the nearest number of parameters, scaled by parameters times
    the size of the batch. Measurements on a GPU go before others, and those of the same type of model. `speed`, the
    steps per second of the largest dense model, or of the largest of all where none is dense, goes before all of them,
    but says nothing of language models.
    """
    if any(group.device == "a GPU" for group in measured):
        measured = [group for group in measured if group.device == "a GPU"]
    acoustic = [job for job in jobs if job.unit != TOKENS]
    largest = max(acoustic, key=lambda job: (job.kind == "dense", job.parameters), default=None)
    seconds, reasons = {}, []
    if speed and not largest:
        reasons.append("--speed is not used: the study trains no acoustic model")
    for job in jobs:
        key = job.corpus, job.model, job.batch
        if key in seconds:
            continue
        seconds[key], why = math.nan, "unknown, for no such model was trained here; train one"
        if speed and largest and job.unit != TOKENS:
            seconds[key] = job.work / largest.work / speed
            why = "by --speed" if job.work == largest.work else f"scaled from --speed, which is that of {largest.model}"
        elif group := nearest(job, measured):
            seconds[key], why = group.seconds / group.steps, group.source
            if not group.like(job):
                why = (
                    f"never run here: scaled from {number(seconds[key])} s of a model of type {group.type} with "
                    f"{millions(group.parameters)} parameters in batches of {group.batch:g} {job.unit}, {why}"
                )
                why += "; --speed would tell it better" if job.unit == AUDIO else ""
                seconds[key] *= job.work / group.parameters / group.batch
        elif job.unit != TOKENS:
            why += ", or give --speed"
        value = "" if math.isnan(seconds[key]) else f"{number(seconds[key])} s, "
        reasons.append(f"a step of {job.model} in batches of {job.batch:g} {job.unit}: {value}{why}")
    return [replace(job, seconds=seconds[job.corpus, job.model, job.batch]) for job in jobs], reasons


def nearest(job: Job, measured: Sequence[Measured]) -> Measured | None:
    """The measurement to go by: that of a model and batch like the job's, else the nearest that may be scaled."""
    groups = [group for group in measured if group.unit == job.unit]
    groups = [group for group in groups if group.like(job)] or [g for g in groups if g.steps >= STEPS_TO_SCALE]

    def distance(group: Measured) -> tuple[bool, float, float]:
        ratio, batches = group.parameters / job.parameters, group.batch / job.batch
        return group.type != job.type, abs(math.log(ratio)), abs(math.log(batches))

    return min(groups, key=distance, default=None)


def longest_chain(jobs: Iterable[Job]) -> float:
    """Hours of the jobs that must run one after another, whatever the number of devices."""
    known = {job.folder: job for job in jobs}
    ends: dict[str, float] = {}

    def end(folder: str) -> float:
        if folder not in ends:
            ends[folder] = known[folder].hours + max(map(end, known[folder].after), default=0.0)
        return ends[folder]

    return max(map(end, known))


def millions(count: float) -> str:
    return f"{count / 1e6:.3g}M"


def number(value: float) -> str:
    """Three digits, without an exponent; a dash for what is not known."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
