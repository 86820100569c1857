"""What a study will cost, before it runs: jobs, training steps, hours of training, disk.

Nothing is trained, and no corpus need be there. Hours come from what was trained in this folder before
(`results/*/…/run.json`), or from --speed: begin to train the study's largest dense model on the machine that is meant
for it, and divide the steps by the seconds between two lines of its log. What is assumed is printed below the numbers.
"""

import argparse
import contextlib
import importlib
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from secateur.config.complete import complete
from secateur.config.scale import lay_over
from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv
from secateur.overview.cost import (
    CHARACTERS,
    Job,
    counted,
    encoder_notes,
    longest_chain,
    measurements,
    millions,
    number,
    timed,
    training_jobs,
)
from secateur.pruning.multilingual import budget
from secateur.pruning.reach import reaches
from secateur.reporting.results import Results
from secateur.speech import corpora as corpora_known
from secateur.study import runs as study

launcher = importlib.import_module("run")  # beside this file

AIM = 0.4  # steps of the rows of tables 1 to 3 together, over those of the rows alone
FRAMES_PER_SECOND = 100
BYTES = 4  # of a weight, and of a feature
STATE_BYTES = 12  # of a weight in training: itself, and AdamW's two moments


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
    notes = show_jobs(rules) + show_budget(config) + show_masks(config, directory)
    notes += show_training(jobs) + reasons
    notes += show_disk(config, jobs, hours) if jobs else []
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

    Raises SecateurError for a file that is no configuration, and for what `secateur.config.complete.complete` finds.
    """
    config: dict[str, Any] = {}
    for path in dict.fromkeys([directory / "config.yaml", file]):
        launcher.study_name(path)
        lay_over(config, yaml.safe_load(path.read_text(encoding="utf-8")))
    try:
        return complete(config)
    except SecateurError as error:
        raise SecateurError(f"{file}: the configuration is not valid:\n{error}") from error


def jobs_by_rule(directory: Path, file: Path) -> dict[str, int]:
    """Number of jobs by rule, and in `total`, of a run from nothing. Raises SecateurError if the dry run fails."""
    asked = launcher.Asked(["--dry-run", "--forceall", "--quiet", "rules"], looks_only=True)
    command = launcher.snakemake_command(directory, file, 1, asked)
    result = subprocess.run(command, cwd=directory, env=launcher.environment(directory), capture_output=True, text=True)
    table = result.stdout.partition("Job stats:\n")[2].partition("\n\n")[0]
    counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    if result.returncode or "total" not in counts:
        # A dry run writes its errors to standard output, too, below a header.
        said = result.stdout.rpartition("Building DAG of jobs...")[2].strip() or result.stderr.strip()
        raise SecateurError(f"{file}: Snakemake's dry run failed; mend what it says:\n{said}")
    return counts


# --- time


# --- disk


# --- what is printed; each part returns what it assumes


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
        elif known := corpora_known.hours(options):
            found[corpus] = known[0], 0.0, f"{known[1]}; dev and test sets left out"
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


def show_masks(config: Mapping[str, Any], directory: Path) -> list[str]:
    """How far weights may move between two adaptations of a mask, against the smallest weight of a mask."""
    found = list(reaches(config, directory / "results" / config["study"]))
    if not found:
        return []
    print("\nMasks that adapt: can they change?")
    lines = [["corpus", "model", "method", "languages", "movement", "threshold", ""]]
    for reach in found:
        run = reach.run
        scope = "each" if run.scope in config["corpora"][run.corpus]["languages"] else run.scope
        known = "?" if reach.threshold is None else f"{reach.threshold:.3f}"
        hardly = "NO: not a test" if reach.movement <= (reach.threshold or 0) else "hardly"
        said = hardly if reach.doubt else "keeps dense values" if not reach.grows_back else ""
        said = said or ("" if reach.threshold is None else "yes")
        lines.append([run.corpus, run.model, run.method, scope, f"{reach.movement:.3f}", known, said])
    table(lines)
    return [
        "movement: the greatest sum of learning rates between two adaptations at the target, by which AdamW moves a "
        "weight at most, and most weights a quarter as far; threshold: the smallest weight in a mask of that sparsity "
        "over the dense model, once that is trained. What begins at zero takes a place in a mask only beyond it, and "
        "few weights do where the movement is less than twice as much"
    ]


def show_training(jobs: Sequence[Job]) -> list[str]:
    """Steps and hours by model and kind of job."""
    if not jobs:
        print("\nTraining: of no acoustic or language model")
        return []
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


def size_of(count: float) -> str:
    """Bytes for reading."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


if __name__ == "__main__":
    sys.exit(main())
