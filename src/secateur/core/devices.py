"""The one place where a job's device is chosen."""

import fcntl
import os
import tempfile
from pathlib import Path

import torch

from secateur.core import gpus
from secateur.core.errors import SecateurError
from secateur.core.jobs import threads
from secateur.core.processes import STARTED

LEAST_MEMORY = 2 * 2**30
"""Bytes of a GPU that a job must find: what CUDA takes for itself, a small model and its batch."""

_held: dict[int, int] = {}  # GPU of this process → descriptor of its lock, which the process keeps until it ends


def pick(requested: str = "auto") -> torch.device:
    """The device for `requested`: `auto` (a GPU when there is one), `cpu`, or `cuda`.

    As far as this user's jobs go, a GPU is this process' alone until it ends, or that of `gpu_share` jobs, each with
    its part of the memory: each job takes the first of the GPUs that the fewest use.
    Raises SecateurError when a GPU is asked for and none is visible, when none is free, when a part of its memory is
    too small, and where processes that train together, which need a GPU each, are to share them.
    """
    if requested == "auto":
        requested = "cuda" if torch.cuda.is_available() else "cpu"
    if requested == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise SecateurError("device: cuda was asked for but no GPU is visible; set `device: auto` or run where one is")
    names, share = _gpus(), int(os.environ.get(gpus.SHARE, "1"))
    if share > 1 and STARTED in os.environ:
        raise SecateurError(
            f"gpu_share: {share}, but the processes of a training need a GPU each; set `gpu_share: 1` or `processes: 1`"
        )
    for place in range(share):
        for number, name in enumerate(names):
            if number in _held or _claim(number, name, place):
                torch.cuda.set_device(number)
                if share > 1:
                    _take_part(number, share)
                return torch.device("cuda", number)
    raise SecateurError(
        f"device: {len(names)} GPU(s) visible, and other jobs use all of them; wait for one to end, start Snakemake "
        f"with --resources gpu={len(names) * share}, or set `device: cpu`"
    )


def use_threads() -> int:
    """Let torch compute with as many CPU threads as this process was given, and say how many these are.

    Snakemake sets MKL_NUM_THREADS to all that a job claims, and torch listens to that before OMP_NUM_THREADS. A job
    that claims every core so that nothing runs beside it would compute with all of them.
    """
    torch.set_num_threads(threads())
    return torch.get_num_threads()


def _gpus() -> list[str]:
    """What tells each visible GPU from all others of the machine; CUDA's numbers differ between processes."""
    return [str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())]


def _take_part(number: int, share: int) -> None:
    """Keep this process to its part of a GPU's memory. Raises SecateurError if that, or what is free, is too little."""
    free, total = torch.cuda.mem_get_info(number)
    if min(free, total / share) < LEAST_MEMORY:
        raise SecateurError(
            f"device: GPU {number} has {free / 2**30:.1f} of {total / 2**30:.1f} GiB free; for each of {share} jobs "
            f"(gpu_share) that is less than {LEAST_MEMORY / 2**30:g} GiB; lower `gpu_share`, or end what else uses it"
        )
    torch.cuda.set_per_process_memory_fraction(1 / share, number)


def _claim(number: int, name: str, place: int = 0) -> bool:
    """Lock one of the places on a GPU for the life of this process; False if another process has it."""
    of = f"-{place}" if place else ""
    path = Path(tempfile.gettempdir(), f"secateur-{os.getuid()}-gpu-{name}{of}.lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    _held[number] = lock
    return True


def autocast_dtype(device: torch.device, precision: str) -> torch.dtype | None:
    """The dtype to autocast to for `precision` (`auto`, `float32`, `bfloat16`); None for float32.

    `auto` takes bfloat16 where the hardware multiplies it natively (AVX512-BF16 or AMX on a CPU), else float32.
    """
    if precision == "auto":
        if device.type == "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            native = torch.cpu._is_avx512_bf16_supported()
        precision = "bfloat16" if native else "float32"
    return {"float32": None, "bfloat16": torch.bfloat16}[precision]


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context to compute in for `precision`, as `autocast_dtype` says."""
    dtype = autocast_dtype(device, precision)
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)
