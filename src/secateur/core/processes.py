"""The processes of a training: a job with more than one of `processes` or `nodes` starts itself again in torchrun.

On several nodes that is a step of a SLURM job, with one torchrun on each. What the processes then do together is in
`secateur.core.distributed`. No heavy imports: every job asks this module first.
"""

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Sequence

from secateur.core.errors import SecateurError

STARTED = "TORCHELASTIC_RUN_ID"  # in the environment of processes that torchrun has started
PORTS = range(20000, 60000)
_PR_SET_PDEATHSIG = 1


def spread(processes: int, nodes: int, words: Sequence[str]) -> None:
    """Start so many processes on each of so many nodes, in place of this one; return if that is one alone.

    Each of them runs `secateur` with `words`.
    To be called before anything is read or computed. Raises SecateurError for several nodes outside a SLURM job.
    """
    if STARTED in os.environ:
        end_with_parent()  # torchrun
        return
    if processes * nodes == 1:
        return
    command = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={nodes}", f"--nproc-per-node={processes}"]
    if nodes == 1:
        command.append("--standalone")
    else:
        job = os.environ.get("SLURM_JOB_ID")
        if job is None:
            raise SecateurError(
                f"training: nodes is {nodes}, and several are only to be had in a SLURM job; run the study with the "
                "profile of a cluster (make results PROFILE=slurm), or set nodes: 1"
            )
        port = PORTS[int(job) % len(PORTS)]
        command = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", *command]
        command += ["--rdzv-backend=c10d", f"--rdzv-id={job}", f"--rdzv-endpoint={socket.gethostname()}:{port}"]
    os.environ["OMP_NUM_THREADS"] = str(max(1, int(os.environ.get("OMP_NUM_THREADS", "1")) // processes))
    sys.stdout.flush()
    os.execvp(command[0], [*command, "--module", "secateur", *words])


def end_with_parent() -> None:
    """Let the system end this process, a worker, when the one that started it dies; on Linux (prctl)."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
