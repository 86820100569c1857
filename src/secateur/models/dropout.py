"""Dropout that does not spend a quarter of a CPU training step on random numbers."""

import torch


class Dropout(torch.nn.Dropout):
    """Dropout (Srivastava et al. 2014) with eight decisions from each 64-bit random number, on a CPU.

    The rate is rounded to a multiple of 1/256, and the scale of what is kept goes by the rounded rate, so that the
    expectation is exact. On other devices this is torch's own dropout.
    """

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        level = round(self.p * 256)
        if not self.training or level == 0 or level == 256 or hidden.device.type != "cpu":
            return super().forward(hidden)
        count = hidden.numel()
        draws = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None).view(torch.uint8)[:count]
        kept = (draws >= level).view(hidden.shape).to(hidden.dtype)
        return hidden * kept.mul_(256 / (256 - level))


def use_fast_dropout(model: torch.nn.Module) -> None:
    """Replace every `torch.nn.Dropout` in `model` by `Dropout`, in place."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is torch.nn.Dropout:
                setattr(module, name, Dropout(child.p))
