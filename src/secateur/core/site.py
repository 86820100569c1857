"""The software that a site has: what Snakemake needs before it runs jobs in a container or with modules.

Snakemake itself goes on without a word where there is no container to run in, no module to load, or no such module.
"""

import subprocess
from collections.abc import Sequence

from secateur.core.errors import SecateurError


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
