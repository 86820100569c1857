"""Counting and choosing GPUs, with pretended ones."""

import fcntl
import os
import subprocess
import sys

import pytest
import torch

from secateur.core import devices, gpus, mps
from secateur.core.asked import Asked, snakemake_command
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


@pytest.fixture
def memory(monkeypatch):
    """What `mem_get_info` says, in GiB, free and total; and the parts that processes were kept to."""
    gib, parts = [40, 40], []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: (gib[0] * 2**30, gib[1] * 2**30))
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda part, number: parts.append((part, number))
    )
    return gib, parts


def test_jobs_that_share_gpus_spread_over_them_with_a_part_of_the_memory(two_gpus, memory, monkeypatch):
    monkeypatch.setenv(gpus.SHARE, "2")
    for _ in range(4):
        devices.pick()
        another_job(monkeypatch)
    assert two_gpus == [0, 1, 0, 1]
    assert memory[1] == [(0.5, 0), (0.5, 1), (0.5, 0), (0.5, 1)]
    with pytest.raises(SecateurError, match=r"2 GPU\(s\) visible.*--resources gpu=4"):
        devices.pick()


@pytest.mark.parametrize(("free", "total"), [(1, 80), (12, 12)])
def test_a_part_of_memory_that_is_too_small_is_an_error(free, total, two_gpus, memory, monkeypatch):
    monkeypatch.setenv(gpus.SHARE, "8")
    memory[0][:] = free, total
    with pytest.raises(SecateurError, match=rf"GPU 0 has {free}\.0 of {total}\.0 GiB free; .*lower `gpu_share`"):
        devices.pick()
    assert memory[1] == []


def test_processes_that_train_together_share_no_gpu(two_gpus, monkeypatch):
    monkeypatch.setenv(gpus.SHARE, "2")
    monkeypatch.setenv(devices.STARTED, "1")
    with pytest.raises(SecateurError, match=r"gpu_share: 2, but the processes of a training need a GPU each"):
        devices.pick()


SERVICE = """#!/bin/sh
echo "$* $(cat) $CUDA_MPS_PIPE_DIRECTORY" >> CALLS
exit STATUS
"""


@pytest.fixture
def service(tmp_path, monkeypatch):
    """A function that puts an imitation of the service's control program in the path, which notes its calls."""
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")

    def install(status: int):
        program = tmp_path / mps.CONTROL
        program.write_text(SERVICE.replace("CALLS", str(tmp_path / "calls")).replace("STATUS", str(status)))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return tmp_path / "calls"

    return install


def test_the_service_runs_while_jobs_share_a_gpu_and_is_stopped(service, capsys):
    calls = service(0)
    with pytest.raises(KeyboardInterrupt), mps.shared(8, os.environ):
        folder = os.environ["CUDA_MPS_PIPE_DIRECTORY"]
        assert calls.read_text().split() == ["-d", folder] and os.path.isdir(folder)
        raise KeyboardInterrupt
    assert calls.read_text().split() == ["-d", folder, "quit", folder]
    assert "CUDA_MPS_PIPE_DIRECTORY" not in os.environ and not os.path.exists(folder)
    assert capsys.readouterr().out == ""


def test_a_service_that_does_not_start_is_said_once(service, capsys):
    calls = service(3)
    with mps.shared(8, os.environ):
        assert "CUDA_MPS_PIPE_DIRECTORY" not in os.environ
    assert len(calls.read_text().splitlines()) == 1
    said = "8 jobs share a GPU in turns: CUDA's multi-process service does not start (status 3).\n"
    assert capsys.readouterr().out == said


def test_without_sharing_or_a_gpu_or_beside_a_sites_own_there_is_no_service(service, monkeypatch):
    calls = service(0)
    with mps.shared(1, os.environ):
        pass
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with mps.shared(8, os.environ):
        pass
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/run/theirs")
    with mps.shared(8, os.environ):
        assert os.environ["CUDA_MPS_PIPE_DIRECTORY"] == "/run/theirs"
    assert not calls.exists()


@pytest.mark.parametrize(
    ("base", "study", "share"),
    [("{}", "{}", 1), ("gpu_share: 4", "{}", 4), ("gpu_share: 4", "gpu_share: 8", 8), ("{}", "gpu_share: no", 1)],
)
def test_the_share_of_a_study_multiplies_what_snakemake_may_start(base, study, share, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    (tmp_path / "config.yaml").write_text(base)
    (tmp_path / "study.yaml").write_text(study)
    command = snakemake_command(tmp_path, tmp_path / "study.yaml", 2, Asked([]))
    assert command[command.index("--resources") + 1] == f"gpu={2 * share}"
