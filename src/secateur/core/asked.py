"""What a user asks of Snakemake, read by Snakemake's own parser, and the command line that comes of it."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from secateur.core import gpus

LOOKS_ONLY = (
    *("dryrun", "lint", "list_rules", "list_target_rules", "list_changes", "list_input_changes", "list_params_changes"),
    *("list_untracked", "list_conda_envs", "summary", "detailed_summary", "dag", "d3dag", "rulegraph", "filegraph"),
    *("report", "unlock", "containerize", "print_compilation"),
)
"""Snakemake's options, as its parser calls them, that show something instead of running jobs."""
LOGGER = "secateur"


@dataclass(frozen=True)
class Asked:
    """What a user asks of Snakemake.

    Attributes:
        words: its command line, the profile of a cluster included.
        looks_only: whether it is to show something instead of running jobs.
        touches: whether it only marks results as current.
        targets: what it is to make, if not the report.
        cores, resources: whether these words say how many.
    """

    words: Sequence[str]
    looks_only: bool = False
    touches: bool = False
    targets: Sequence[str] = ()
    cores: bool = False
    resources: bool = False

    @classmethod
    def of(cls, words: Sequence[str], chosen: Sequence[str] = ()) -> "Asked":
        """Read `words` as Snakemake does, and `chosen`, words of the launcher's own. It ends the process on wrong ones.

        Loading Snakemake takes a moment, so it is left out where there is nothing to read.
        """
        if not words:
            return cls(chosen, cores=bool(chosen), resources=bool(chosen))
        from snakemake.cli import get_argument_parser

        found = get_argument_parser().parse_args([*words])
        elsewhere = bool(chosen or found.profile or found.executor)
        return cls(
            words=(*words, *chosen),
            looks_only=any(getattr(found, name, None) not in (None, False, []) for name in LOOKS_ONLY),
            touches=found.touch,
            targets=found.targets,
            cores=elsewhere or found.cores is not None or found.jobs is not None,
            resources=elsewhere or bool(found.resources),
        )


def snakemake_command(directory: Path, configuration: Path, cores: int | None, asked: Asked) -> list[str]:
    """Snakemake's command line. On a cluster, whose profile says how many jobs may run, no limits are added."""
    command = [sys.executable, "-m", "snakemake"]
    if cores or not asked.cores:
        command += ["--cores", str(cores or len(os.sched_getaffinity(0)))]
    command += asked.words
    # What takes several values comes last: it would take a target that follows for one of them.
    if not asked.looks_only and "--logger" not in asked.words:
        command += ["--logger", LOGGER]
    if not asked.resources and (count := gpus.visible()):
        command += ["--resources", f"gpu={count * gpu_share(directory, configuration)}"]
    if configuration != directory / "config.yaml":
        command += ["--configfile", str(configuration)]
    return command


def gpu_share(directory: Path, configuration: Path) -> int:
    """Jobs that may use a GPU at a time: the key `gpu_share` of a study's file, else of `config.yaml`, else 1.

    A value that is no such number is 1 here; the workflow, which reads the configuration next, says what is wrong.
    """
    for file in (configuration, directory / "config.yaml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
        if isinstance(content, dict) and "gpu_share" in content:
            share = content["gpu_share"]
            return share if isinstance(share, int) and share > 0 else 1
    return 1
