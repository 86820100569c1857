"""The one place where a job's device is chosen."""

import fcntl
import os
import tempfile
from pathlib import Path

import torch

from secateur.core.errors import SecateurError
from secateur.core.jobs import threads

_held: dict[int, int] = {}  # GPU of this process → descriptor of its lock, which the process keeps until it ends


def pick(requested: str = "auto") -> torch.device:
    """The device for `requested`: `auto` (a GPU when there is one), `cpu`, or `cuda`.

    A GPU is this process' alone until it ends, as far as this user's jobs go: each takes the first that is free.
    Raises SecateurError when a GPU is asked for and none is visible, and when none is free.
    """
    if requested == "auto":
        requested = "cuda" if torch.cuda.is_available() else "cpu"
    if requested == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise SecateurError("device: cuda was asked for but no GPU is visible; set `device: auto` or run where one is")
    names = _gpus()
    for number, name in enumerate(names):
        if number in _held or _claim(number, name):
            torch.cuda.set_device(number)
            return torch.device("cuda", number)
    raise SecateurError(
        f"device: {len(names)} GPU(s) visible, and other jobs use all of them; wait for one to end, start Snakemake "
        f"with --resources gpu={len(names)}, or set `device: cpu`"
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


def _claim(number: int, name: str) -> bool:
    """Lock a GPU for the life of this process; False if another process has it."""
    path = Path(tempfile.gettempdir(), f"secateur-{os.getuid()}-gpu-{name}.lock")
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
