"""The place of a block that was removed."""

import torch


class NoBlock(torch.nn.Module):
    """What is left of a removed block on the residual path: `x + NoBlock()(x)` is `x`, exactly.

    It answers one zero, which broadcasts, whatever else it is called with (masks, positions, caches).
    """

    def forward(self, hidden: torch.Tensor, *_, **__) -> torch.Tensor:
        return hidden.new_zeros(())


class NoBranch(NoBlock):
    """The same where the output is not added but concatenated with another branch's, as in an E-Branchformer."""

    def forward(self, hidden: torch.Tensor, *_, **__) -> torch.Tensor:
        return torch.zeros_like(hidden)
