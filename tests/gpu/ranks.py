"""What one rank does, started by torchrun: gradients and numbers are summed over all ranks, on a device of its own."""

import sys

import torch

from secateur.core import devices, distributed


def main() -> None:
    device = devices.pick(sys.argv[1])
    group = distributed.join(device)
    seen, unseen = (torch.nn.Parameter(torch.zeros(3, device=device)) for _ in range(2))
    seen.grad = torch.full((3,), float(group.rank + 1), device=device)
    group.add_gradients([seen, unseen])
    total = group.size * (group.size + 1) / 2
    assert seen.grad.tolist() == [total] * 3 and unseen.grad is None
    assert group.add(1.0, group.rank) == [group.size, total - group.size]
    if device.type == "cuda":
        cards = [torch.zeros(1, device=device) for _ in range(group.size)]
        torch.distributed.all_gather(cards, torch.tensor([float(device.index)], device=device))
        assert sorted(card.item() for card in cards) == list(range(group.size))
    if group.rank == 0:
        print("added", group.size, flush=True)
    group.leave()


if __name__ == "__main__":
    main()
