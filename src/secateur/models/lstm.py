"""LSTM layers that every processor can compute."""

import torch


class LSTM(torch.nn.LSTM):
    """`torch.nn.LSTM`, which on a CPU computes in float32 under autocast, too.

    Below AVX-512, oneDNN has no LSTM in bfloat16 and raises RuntimeError; above, float32 costs little, and one model is
    then trained alike on all of them.
    """

    def forward(
        self, inputs: torch.Tensor, hx: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """As `torch.nn.LSTM`: inputs (B, U, D) with `batch_first`, state `hx` two of (layers, B, D)."""
        if inputs.device.type != "cpu":
            return super().forward(inputs, hx)
        with torch.autocast("cpu", enabled=False):
            weights = self.weight_ih_l0.dtype
            hx = None if hx is None else (hx[0].to(weights), hx[1].to(weights))
            return super().forward(inputs.to(weights), hx)


def use_safe_lstm(model: torch.nn.Module) -> None:
    """Let the LSTM layers of a model that is built of others' classes be of this one; parameters and names stay."""
    for module in model.modules():
        if type(module) is torch.nn.LSTM:
            module.__class__ = LSTM
