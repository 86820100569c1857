"""The one place where a job's device is chosen."""

import torch

from secateur.errors import SecateurError


def pick(requested: str = "auto") -> torch.device:
    """The device for `requested`: `auto` (a GPU when there is one), `cpu`, or `cuda`.

    Raises SecateurError when a GPU is asked for and none is visible.
    """
    if requested == "auto":
        requested = "cuda" if torch.cuda.is_available() else "cpu"
    if requested == "cuda" and not torch.cuda.is_available():
        raise SecateurError("device: cuda was asked for but no GPU is visible; set `device: auto` or run where one is")
    return torch.device(requested)


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
