"""Counting GPUs without loading torch: for Snakemake, which lets one job at a time use each."""

import os
import subprocess

SHARE = "SECATEUR_GPU_SHARE"
"""In the environment of jobs on this machine: how many of them may use a GPU at a time (`gpu_share`)."""


def visible() -> int:
    """How many GPUs this process may use: those of CUDA_VISIBLE_DEVICES where it is set, else what nvidia-smi lists."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        names = [name.strip() for name in chosen.split(",")]
        # CUDA itself reads the list up to the first name that is no device.
        return next((number for number, name in enumerate(names) if name in ("", "-1")), len(names))
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in answer.stdout.splitlines()) if answer.returncode == 0 else 0
