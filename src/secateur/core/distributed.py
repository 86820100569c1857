"""Training in several processes that share every batch (data parallelism), each on a GPU or CPU threads of its own.

All processes hold the same weights, optimiser state and masks. In a step each takes its part of the batch; gradients
are summed over the processes and divided by the weight of the whole batch, so that all make the update that one process
with the whole batch would make. Torch's DistributedDataParallel is not used: it takes the plain mean over processes,
whatever their parts weigh, and gives a layer that was skipped everywhere a gradient of zero, for which the optimiser
would decay it; and what methods do to gradients has to come after the sum.

Processes are started by torchrun (`secateur.core.processes`).
"""

import logging
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from secateur.core.errors import SecateurError
from secateur.core.processes import STARTED

Item = TypeVar("Item")
TIMEOUT = timedelta(hours=1)  # for which the others may be busy, evaluating or saving, say


@dataclass(frozen=True)
class Group:
    """The processes that train together; this one has the number `rank` of `size`, and 0 is the one that writes."""

    rank: int = 0
    size: int = 1

    def part(self, items: Sequence[Item]) -> list[Item]:
        """This process' part of a batch, or of several; empty if there are fewer items than processes."""
        return list(items[self.rank :: self.size])

    def add(self, *numbers: float) -> list[float]:
        """Each number, summed over the processes."""
        if self.size == 1:
            return list(numbers)
        import torch

        total = torch.tensor(numbers, dtype=torch.float64, device=_device())
        torch.distributed.all_reduce(total)
        return total.tolist()

    def add_gradients(self, parameters: Iterable[Any]) -> None:
        """Replace every gradient by its sum over the processes; where none has one, there is none afterwards."""
        if self.size == 1:
            return
        import torch

        parameters = [parameter for parameter in parameters if parameter.requires_grad]
        present = torch.tensor([parameter.grad is not None for parameter in parameters], device=_device()).int()
        torch.distributed.all_reduce(present)
        used = [parameter for parameter, count in zip(parameters, present.tolist(), strict=True) if count]
        for parameter in used:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if not used:
            return
        flat = torch.cat([parameter.grad.reshape(-1) for parameter in used])
        torch.distributed.all_reduce(flat)
        for parameter, total in zip(used, flat.split([parameter.numel() for parameter in used]), strict=True):
            parameter.grad.copy_(total.view_as(parameter))

    def check_equal(self, what: str, number: int) -> None:
        """Raise SecateurError if the processes do not have the same number: they would train different models."""
        if self.size == 1:
            return
        import torch

        mine = torch.tensor([number], device=_device())
        everyones = [torch.zeros_like(mine) for _ in range(self.size)]
        torch.distributed.all_gather(everyones, mine)
        found = [int(value) for value in everyones]
        if len(set(found)) > 1:
            raise SecateurError(
                f"{what} differs between the processes ({found}); do all nodes see the same files? If so, it is a bug: "
                "report it, and train with processes: 1"
            )

    def leave(self) -> None:
        """Part from the others; a process that does not write ends here, successfully."""
        if self.size == 1:
            return
        import torch

        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        if self.rank:
            sys.exit(0)


ALONE = Group()


def join(device: Any) -> Group:
    """The group of this process, which computes on `device`."""
    if STARTED not in os.environ:
        return ALONE
    import torch

    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group({"cpu": "gloo", "cuda": "nccl"}[device.type], timeout=TIMEOUT)
    group = Group(torch.distributed.get_rank(), torch.distributed.get_world_size())
    if group.rank:
        logging.getLogger().setLevel(logging.WARNING)
    return group


def _device() -> str:
    import torch

    return "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
