"""What a study will cost, before it runs: jobs, training steps, hours of training, disk.

Nothing is trained, and no corpus need be there. Hours come from what was trained in this folder before
(`results/*/…/run.json`), or from --speed: begin to train the study's largest dense model on the machine that is meant
for it, and divide the steps by the seconds between two lines of its log. What is assumed is printed below the numbers.
"""

import argparse
import contextlib
import importlib
import io
import json
import logging
import math
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv
from secateur.pruning import methods
from secateur.pruning.multilingual import budget
from secateur.reporting.results import Results
from secateur.ssl import study as upstreams
from secateur.study import config as configuration
from secateur.study import runs as study

launcher = importlib.import_module("run")  # beside this file

AIM = 0.4  # steps of the rows of tables 1 to 3 together, over those of the rows alone
FRAMES_PER_SECOND = 100
BYTES = 4  # of a weight, and of a feature
STATE_BYTES = 12  # of a weight in training: itself, and AdamW's two moments
CHARACTERS = 50  # in a token list that is not there yet
STEPS_TO_SCALE = 100  # a shorter run is mostly its beginning
MLS_HOURS = {"de": 1967, "en": 44660, "es": 918, "fr": 1077, "it": 247, "nl": 1554, "pl": 104, "pt": 161}
"""Training speech of MLS (Pratap et al. 2020)."""
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


def main(arguments: list[str] | None = None) -> int:
    """Print the plan of a study; return the exit status."""
    options = parse(arguments)
    directory = options.directory.resolve()
    try:
        file = launcher.study_file(directory, options.study)
        config = load(directory, file)
        hours = speech_hours(directory, config, options.hours)
        rules = jobs_by_rule(directory, file)
        jobs = counted(directory, config, training_jobs(config))
    except SecateurError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    jobs, reasons = timed(jobs, measurements(directory), options.speed)
    print(f"Study {config['study']} ({os.path.relpath(file, directory)})")
    notes = show_jobs(rules) + show_budget(config) + show_training(jobs) + reasons + show_disk(config, jobs, hours)
    notes += encoder_notes(config)
    print("\nAssumed")
    for note in notes:
        print(f"- {note}")
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="default", help="name of a study, or path of a configuration file (default)")
    parser.add_argument(
        "--speed", type=above_zero, help="steps per second of the study's largest dense model on one device"
    )
    parser.add_argument(
        "--hours", nargs="+", default=[], metavar="CORPUS=HOURS", help="training speech of a corpus, in all languages"
    )
    parser.add_argument("--directory", type=Path, default=launcher.ROOT, help="folder with the Snakefile (this clone)")
    return parser.parse_args(arguments)


def above_zero(text: str) -> float:
    """A number above zero, for the command line."""
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < math.inf:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


# --- the study


def load(directory: Path, file: Path) -> dict[str, Any]:
    """The configuration of a study as the workflow sees it: laid over `config.yaml`, checked, with its defaults.

    Raises SecateurError for a file that is no configuration, and for what `secateur.study.config.complete` finds.
    """
    config: dict[str, Any] = {}
    for path in dict.fromkeys([directory / "config.yaml", file]):
        launcher.study_name(path)
        lay_over(config, yaml.safe_load(path.read_text(encoding="utf-8")))
    try:
        return configuration.complete(config)
    except SecateurError as error:
        raise SecateurError(f"{file}: the configuration is not valid:\n{error}") from error


def lay_over(config: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Merge mappings and replace everything else, in place, as Snakemake does with a second configuration file."""
    for key, value in other.items():
        if isinstance(value, Mapping):
            if not isinstance(config.get(key), dict):
                config[key] = {}
            lay_over(config[key], value)
        else:
            config[key] = value


def jobs_by_rule(directory: Path, file: Path) -> dict[str, int]:
    """Number of jobs by rule, and in `total`, of a run from nothing. Raises SecateurError if the dry run fails."""
    command = launcher.snakemake_command(directory, file, 1, ["--dry-run", "--forceall", "--quiet", "rules"])
    result = subprocess.run(command, cwd=directory, env=launcher.environment(directory), capture_output=True, text=True)
    table = result.stdout.partition("Job stats:\n")[2].partition("\n\n")[0]
    counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    if result.returncode or "total" not in counts:
        # A dry run writes its errors to standard output, too, below a header.
        said = result.stdout.rpartition("Building DAG of jobs...")[2].strip() or result.stderr.strip()
        raise SecateurError(f"{file}: Snakemake's dry run failed; mend what it says:\n{said}")
    return counts


def training_jobs(config: Mapping[str, Any]) -> list[Job]:
    """Every job of a study that trains: the models of the tables, what they are made from, and language models."""
    runs: dict[str, study.ModelRun] = {}
    language_models = {}
    for run in study.model_runs(config):
        runs |= study.ancestors(config, run)
        for search in study.searches(config, run):
            if lm := config["searches"][search].get("lm"):
                folder, entry = study.lm_folder(run.corpus, lm, run.seed), config["language_models"][lm]
                recipe = config["training"][entry["training"]]
                language_models[folder] = Job(
                    folder, run.corpus, lm, entry["type"], "language model", recipe["steps"], recipe["batch_tokens"]
                )
    jobs = []
    for run in runs.values():
        entry, parents = config["models"][run.model], study.parents(config, run)
        start = study.start(config, run)
        kind, masks, after = run.kind, 0, [start.folder] if start else []
        if parents:
            kind = methods.parse(run.method).name if parents.masks else kind
            masks = len(parents.masks) or int(study.leaves_masks(run))
            after = [parent.folder for parent in (parents.start, parents.ranked, *parents.masks.values()) if parent]
        steps, batch = study.steps(config, run), config["training"][study.recipe(config, run)]["batch_seconds"]
        jobs.append(Job(run.folder, run.corpus, run.model, entry["type"], kind, steps, batch, masks, tuple(after)))
    return jobs + list(language_models.values())


def encoder_notes(config: Mapping[str, Any]) -> list[str]:
    """What the hours leave out: trainings of self-supervised encoders, whose steps are of another kind."""
    found = [config["training"][upstreams.recipe(entry, run.model)] for entry, run in upstreams.trained(config)]
    if not found:
        return []
    steps = sum(recipe["steps"] for recipe in found)
    seconds = sum(recipe["steps"] * recipe["batch_seconds"] for recipe in found)
    return [
        f"self-supervised encoders: {steps:,} training steps on {seconds / 3600:,.0f} hours of audio in all are not in "
        "the hours above, nor are the heads of their tasks"
    ]


def counted(directory: Path, config: Mapping[str, Any], jobs: Sequence[Job]) -> list[Job]:
    """The jobs with the parameters of their models, which are built without memory, on torch's meta device."""
    logging.disable(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()):  # ESPnet says on import what it does not find
        import torch
        from espnet.nets.pytorch_backend.transformer import attention  # noqa: F401

        from secateur.models.build import build_model
    parameters = {}
    for corpus, name in dict.fromkeys((job.corpus, job.model) for job in jobs):
        entry = config["models"].get(name) or config["language_models"][name]
        tokens = ["?"] * token_count(directory, config, corpus)
        with torch.device("meta"):
            model = build_model(entry | {"features": config["features"]["mel_bins"]}, tokens)
        parameters[corpus, name] = sum(parameter.numel() for parameter in model.parameters())
    return [replace(job, parameters=parameters[job.corpus, job.model]) for job in jobs]


def token_count(directory: Path, config: Mapping[str, Any], corpus: str) -> int:
    """The length of a corpus' token list; of characters that have not been counted yet, a guess."""
    file = directory / "results" / config["study"] / "tokens" / corpus / "tokens.txt"
    if file.is_file():
        return len(file.read_text(encoding="utf-8").splitlines())
    return config["tokens"]["size"] + 3 if config["tokens"]["type"] == "bpe" else CHARACTERS


# --- time


def measurements(directory: Path) -> list[Measured]:
    """What was trained in this folder, in any study. Results that are broken or of another version are left out."""
    groups: dict[tuple, Measured] = {}
    for pattern, key, unit in (("models/*/*/*/*/*/*", "batch_seconds", AUDIO), ("lm/*/*/*", "batch_tokens", TOKENS)):
        for file in sorted(directory.glob(f"results/*/{pattern}/run.json")):
            try:
                record, model = read_json(file), read_json(file.with_name("model.json"))["config"]
                device = "a GPU" if record["device"].startswith("cuda") else f"{record['threads']} CPU thread(s)"
                numbers = stored_numbers(file.with_name("model.safetensors"))
                axes = (model["type"], unit, device, numbers, record["arguments"]["training"][key])
                steps, seconds = record["steps"], record["seconds"]
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
    steps per second of the largest dense model, goes before all of them, but says nothing of language models.
    """
    if any(group.device == "a GPU" for group in measured):
        measured = [group for group in measured if group.device == "a GPU"]
    largest = max((job for job in jobs if job.kind == "dense"), key=lambda job: job.parameters)
    seconds, reasons = {}, []
    for job in jobs:
        key = job.corpus, job.model, job.batch
        if key in seconds:
            continue
        seconds[key], why = math.nan, "unknown, for no such model was trained here; train one"
        if speed and job.unit != TOKENS:
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


# --- disk


def speech_hours(
    directory: Path, config: Mapping[str, Any], given: Sequence[str]
) -> dict[str, tuple[float, float, str]]:
    """Of every corpus of the study where they are known: hours for training, those of other splits, and how.

    `given` holds the words of --hours; raises SecateurError for one that is no corpus and number.
    """
    corpora = list(dict.fromkeys(run.corpus for run in study.model_runs(config)))
    found = {}
    for corpus in corpora:
        options = config["corpora"][corpus]
        table = directory / "results" / config["study"] / "validation" / f"{corpus}.tsv"
        if table.is_file():
            rows = [(row["split"] == "train", float(row["hours"])) for row in read_tsv(table)]
            train, others = (sum(hours for train, hours in rows if train == wanted) for wanted in (True, False))
            found[corpus] = train, others, f"counted in {table.relative_to(directory)}"
        elif options["recipe"] == "mls":
            subset = options["subset"]
            hours = (MLS_HOURS[code] if subset == "full" else float(subset[:-1]) for code in options["languages"])
            found[corpus] = sum(hours), 0.0, "Pratap et al. 2020; dev and test sets left out"
    for word in given:
        corpus, _, hours = word.partition("=")
        try:
            found[corpus] = above_zero(hours), 0.0, "by --hours; dev and test sets left out"
        except argparse.ArgumentTypeError:
            corpus = ""
        if corpus not in corpora:
            names = ", ".join(corpora)
            raise SecateurError(f"--hours: {word!r}; wanted CORPUS=HOURS, such as {corpora[0]}=100; corpora: {names}")
    return found


# --- what is printed; each part returns what it assumes


def show_jobs(rules: Mapping[str, int]) -> list[str]:
    """The number of jobs."""
    print(f"\nJobs: {rules['total']}")
    print("  " + ", ".join(f"{name} {count}" for name, count in rules.items() if name not in ("total", "all")))
    return ["jobs: those of a run from nothing; `make results ARGS=-n` counts what is left to do"]


def show_budget(config: Mapping[str, Any]) -> list[str]:
    """The steps of tables 1 to 3 against those of rows trained alone."""
    lines = [["corpus", "model", "seed", "rows", "steps", "each row alone", "share"]]
    for row in budget(Results(config, Path())):
        axes = [str(row[key]) for key in ("corpus", "base", "seed", "rows")]
        lines.append([*axes, f"{row['steps_run']:,}", f"{row['steps_alone']:,}", f"{row['share']:.2f}"])
    if len(lines) == 1:
        return []
    print(f"\nTraining steps of the rows of tables 1 to 3 (aim: a share of at most {AIM:g})")
    table(lines)
    return ["a row trained alone trains all that it is made from: its dense model, and every level up to its own"]


def show_training(jobs: Sequence[Job]) -> list[str]:
    """Steps and hours by model and kind of job."""
    groups: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.corpus, job.model, job.kind), []).append(job)
    groups["all", "", ""] = list(jobs)
    print("\nTraining")
    lines = [["corpus", "model", "kind", "jobs", "parameters", "steps", "hours"]]
    for axes, members in groups.items():
        parameters = millions(members[0].parameters) if axes[1] else ""
        steps, hours = f"{sum(job.steps for job in members):,}", number(sum(job.hours for job in members))
        lines.append([*axes, str(len(members)), parameters, steps, hours])
    table(lines)
    if unknown := sorted({job.model for job in jobs if math.isnan(job.hours)}):
        print(f"  The hours of {', '.join(unknown)} are not known: see below.")
    else:
        print(f"  The longest chain of jobs that wait for one another takes {number(longest_chain(jobs))} hours.")
    return [
        "hours: of one device for each job, of training with its evaluations; not of features, decoding and waiting",
        "a step under masks takes as long as a dense one (benchmarks/masking.py measures how nearly)",
        "where it was not measured, the time of a step grows with parameters times audio in a batch",
    ]


def show_disk(
    config: Mapping[str, Any], jobs: Sequence[Job], hours: Mapping[str, tuple[float, float, str]]
) -> list[str]:
    """Bytes of checkpoints, masks and features."""
    lines = [
        ["of", "size"],
        ["checkpoints", size_of(sum(job.parameters * BYTES for job in jobs))],
        ["masks", size_of(sum(job.parameters * job.masks / 8 for job in jobs))],
    ]
    state = size_of(STATE_BYTES * max(job.parameters for job in jobs))
    notes = [
        f"checkpoints: {BYTES} bytes a parameter; masks: one bit a parameter, though not all are prunable",
        f"a job that runs also holds {STATE_BYTES} bytes a parameter, here at most {state}, and {BYTES} for each "
        "checkpoint of its `average_best`",
    ]
    speeds, bins = config["features"]["speeds"], config["features"]["mel_bins"]
    for corpus in dict.fromkeys(job.corpus for job in jobs):
        if corpus not in hours:
            lines.append([f"features of {corpus}", "?"])
            notes.append(
                f"features of {corpus}: how many hours it has is known when it is there; give --hours {corpus}=N"
            )
            continue
        train, others, how = hours[corpus]
        frames = 3600 * FRAMES_PER_SECOND * (train * sum(1 / speed for speed in speeds) + others)
        lines.append([f"features of {corpus}", size_of(frames * bins * BYTES)])
        notes.append(
            f"features of {corpus}: {number(train)} h of training speech ({how}), each at speeds "
            f"{', '.join(f'{speed:g}' for speed in speeds)}; {FRAMES_PER_SECOND} frames a second of {bins} numbers of "
            f"{BYTES} bytes"
        )
    print("\nDisk")
    table(lines)
    if config["tokens"]["type"] == "char":
        notes.append(f"parameters: {CHARACTERS} characters, where the token list is not there yet")
    return [*notes, "disk: without the corpora themselves, hypotheses, logs and tables"]


def table(rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns, numbers to the right."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [all(re.match(r"[\d?–]|$", cell) for cell in column[1:]) for column in columns]
    for row in rows:
        cells = zip(row, widths, numeric, strict=True)
        print(
            "  " + "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells).rstrip()
        )


def millions(count: float) -> str:
    return f"{count / 1e6:.3g}M"


def number(value: float) -> str:
    """Three digits, without an exponent; a dash for what is not known."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def size_of(count: float) -> str:
    """Bytes for reading."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


if __name__ == "__main__":
    sys.exit(main())
