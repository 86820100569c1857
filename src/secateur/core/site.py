"""What a site has: what Snakemake needs before it runs jobs in a container, with modules or on SLURM; a home folder.

Snakemake itself says nothing, and runs the jobs all the same, where there is no container, no module to load, or no
such module.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from secateur.core.errors import SecateurError
from secateur.core.files import check_writable

SLURM_COMMANDS = ("sbatch", "sinfo")


def check_container(image: str) -> None:
    """Raise SecateurError if `image`, the configuration's `container`, is empty."""
    if not image:
        raise SecateurError(
            "--sdm apptainer: the configuration names no image; give its key `container`, in the study or as "
            "--config container=docker://…"
        )


def check_modules(names: Sequence[str]) -> None:
    """Load `names`, the configuration's `modules`, in a shell that ends; raise SecateurError if that fails."""
    if not names:
        raise SecateurError(
            "--sdm env-modules: the configuration names no modules; give its key `modules`, in the study or as "
            """--config modules='["cuda/12.6"]'"""
        )
    command = ["bash", "-c", 'type module > /dev/null && module purge && module load "$@"', "bash", *names]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        said = answer.stderr.strip() or "no word why"
        raise SecateurError(f"--sdm env-modules: cannot load {' '.join(names)} ({said}); see `module avail`")


def check_slurm(directory: Path, command: Sequence[str]) -> None:
    """Raise SecateurError if Snakemake is to submit jobs to SLURM, by an argument or its profile, and there is none."""
    chosen = {"--executor": "", "--profile": ""}
    for word, following in zip(command, [*command[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        name = "--executor" if name == "-e" else name
        if name in chosen:
            chosen[name] = value if equals else following
    executor = chosen["--executor"]
    if not executor and chosen["--profile"]:
        file = directory / chosen["--profile"] / "config.yaml"
        content = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
        executor = (isinstance(content, dict) and content.get("executor")) or ""
    if executor == "slurm" and not all(map(shutil.which, SLURM_COMMANDS)):
        raise SecateurError(
            f"jobs are to go to SLURM, but {' and '.join(SLURM_COMMANDS)} are not on this machine; run this on the "
            "cluster's login node (`module load slurm`, where it is a module), or without PROFILE on this machine"
        )


def own_caches(directory: Path) -> dict[str, str]:
    """Variables that put caches of Snakemake, matplotlib and others into `directory`, if ~/.cache cannot be written."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    try:
        if usual.is_absolute():
            check_writable(usual)
            return {}
    except (SecateurError, OSError):
        pass
    own = directory / ".snakemake" / "cache"
    return {"XDG_CACHE_HOME": str(own), "MPLCONFIGDIR": str(own / "matplotlib")}
