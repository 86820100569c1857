"""Encoders as ONNX files, for runtimes without Python, checked against torch.

Inputs: `waveforms` (B, S), samples at 16 kHz, zero padded, and `lengths` (B,), int64. Outputs: `hidden`
(B, T, L + 1, D), the input of the first layer and the output of every layer, and `frames` (B,). B and S are free.
"""

from pathlib import Path

import torch

from secateur.core.errors import SecateurError
from secateur.decoding.onnx import export_checked
from secateur.models.upstream.config import WHISPER
from secateur.models.upstream.encoder import Encoder

TOLERANCE = 1e-3  # of hidden states, which a norm has brought to a variance of about 1
INPUTS, OUTPUTS = ("waveforms", "lengths"), ("hidden", "frames")
SHAPES = ((2, 16000), (1, 40000), (3, 7000))  # utterances and samples that are checked; the first is traced


class _Stacked(torch.nn.Module):
    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, frames = self.encoder(waveforms, lengths)
        return torch.stack(hidden, 2), frames


def export_encoder(encoder: Encoder, path: str | Path) -> float:
    """Write an encoder, dense or pruned, in evaluation mode on the CPU, to `path`, and check the file.

    Returns the largest difference between hidden states of ONNX Runtime and torch, over utterances of several lengths,
    in batches and alone. Raises SecateurError when it is above `TOLERANCE`, and then writes nothing; and for Whisper's
    encoder, whose log-mel energies no file can hold.
    """
    if encoder.config.model_type == WHISPER:
        raise SecateurError("Whisper's encoder has no ONNX export: its log-mel energies are made by transformers")
    batches = []
    for utterances, samples in SHAPES:
        generator = torch.Generator().manual_seed(samples)
        waveforms = 0.1 * torch.randn(utterances, samples, generator=generator)
        lengths = torch.tensor([samples - 1100 * number for number in range(utterances)])
        batches.append((waveforms * (torch.arange(samples) < lengths[:, None]), lengths))
    return export_checked(_Stacked(encoder).eval(), batches, INPUTS, OUTPUTS, path, TOLERANCE, "in a hidden state")
