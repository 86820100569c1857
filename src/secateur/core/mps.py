"""CUDA's multi-process service, by which the kernels of several jobs run on one GPU at the same time, not in turns."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from secateur.core import gpus

CONTROL = "nvidia-cuda-mps-control"
PLACES = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")


@contextmanager
def shared(share: int, environment: Mapping[str, str]) -> Iterator[None]:
    """Run the service while the block runs, for what is started in it, where `share` jobs (more than one) use a GPU.

    A service that the site runs already is left alone. Where none can be started, a line says so, and jobs take turns.
    `environment` is that of the service, by which a run that was killed is known to have left it behind.
    """
    if share < 2 or not gpus.visible() or PLACES[0] in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="secateur-mps-") as folder:  # a socket's path is short
        own = dict.fromkeys(PLACES, folder)
        if why := _call(["-d"], {**environment, **own}):
            print(
                f"{share} jobs share a GPU in turns: CUDA's multi-process service does not start ({why}).", flush=True
            )
            yield
            return
        os.environ.update(own)
        try:
            yield
        finally:
            for name in own:
                os.environ.pop(name)
            _call([], {**environment, **own}, "quit\n")


def _call(words: list[str], environment: Mapping[str, str], said: str = "") -> str:
    """Call the service's control program; return why that failed, or ""."""
    try:
        answer = subprocess.run(
            [CONTROL, *words], env=environment, input=said, capture_output=True, text=True, timeout=60
        )
    except FileNotFoundError:
        return f"there is no {CONTROL}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (answer.stderr or answer.stdout).strip() or f"status {answer.returncode}" if answer.returncode else ""
