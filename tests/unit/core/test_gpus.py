"""Counting and choosing GPUs, with pretended ones."""

import fcntl
import subprocess
import sys

import pytest
import torch

from secateur.core import devices, gpus
from secateur.core.errors import SecateurError


@pytest.mark.parametrize(
    ("chosen", "count"), [("", 0), ("0", 1), ("2,3", 2), ("GPU-ab, GPU-cd", 2), ("-1", 0), ("1,-1,2", 1)]
)
def test_the_environment_says_which_gpus_are_visible(chosen, count, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert gpus.visible() == count


@pytest.mark.parametrize(
    ("script", "count"),
    [
        ("echo 'GPU 0: Model 9000 (UUID: GPU-1)'; echo '  MIG 1g.5gb Device 0'; echo 'GPU 1: Model (UUID: GPU-2)'", 2),
        ("echo 'NVIDIA-SMI has failed'; exit 9", 0),
        (None, 0),
    ],
)
def test_else_nvidia_smi_counts_them(script, count, tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    if script:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    assert gpus.visible() == count


def test_counting_loads_no_torch():
    code = "import sys, secateur.core.gpus; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    """Two GPUs as far as `devices` knows; none is this process' yet. The number of the current one."""
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: current.append(number))
    monkeypatch.setattr(devices, "_gpus", lambda: ["first", "second"])
    monkeypatch.setattr(devices, "_held", {})
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    return current


def another_job(monkeypatch):
    """From here on this process stands for another job; the locks taken before stay."""
    monkeypatch.setattr(devices, "_held", {})


@pytest.mark.parametrize("requested", ["auto", "cuda"])
def test_each_job_gets_a_gpu_of_its_own_and_keeps_it(requested, two_gpus, monkeypatch):
    assert devices.pick(requested) == devices.pick(requested) == torch.device("cuda", 0)
    another_job(monkeypatch)
    assert devices.pick(requested) == torch.device("cuda", 1)
    assert two_gpus == [0, 0, 1]
    another_job(monkeypatch)
    with pytest.raises(SecateurError, match=r"2 GPU\(s\) visible, and other jobs use all.*--resources gpu=2"):
        devices.pick(requested)
    assert devices.pick("cpu") == torch.device("cpu")


def test_a_gpu_is_free_again_when_its_process_has_ended(two_gpus, tmp_path):
    code = f"import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, {fcntl.LOCK_EX}); print(1, flush=True)"
    devices._claim(0, "first")
    lock = next(tmp_path.glob("*first*"))
    devices._held.clear()
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{code}; input()", str(lock).replace("first", "second")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    with pytest.raises(SecateurError, match="use all of them"):
        devices.pick()
    holder.communicate(b"\n")
    assert devices.pick() == torch.device("cuda", 1)


def test_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.pick("auto") == torch.device("cpu")
    with pytest.raises(SecateurError, match="no GPU is visible"):
        devices.pick("cuda")
