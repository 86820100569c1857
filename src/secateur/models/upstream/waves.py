"""Waveforms out of the frames that `secateur.speech.front_ends.waves` makes of them."""

from collections.abc import Sequence

import torch

from secateur.core.waves import STEP, WIDTH
from secateur.models.upstream.convolutions import valid_frames
from secateur.models.upstream.modes import is_eager


def unframed(speech: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (B, T, WIDTH), of which `frames` (B,) are an utterance's → samples (B, S) and their numbers (B,).

    S is that of the longest utterance; while a model is recorded for export, that of all frames.
    """
    lengths = (speech[..., 0] * valid_frames(frames, speech.shape[1])).sum(1).long()
    samples = speech[..., 1:].flatten(1)
    return (samples[:, : int(lengths.max())] if is_eager() else samples), lengths


def made_up(lengths: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Noise as loud as speech, in frames (B, max T, WIDTH), of utterances of `lengths` frames."""
    speech = 0.05 * torch.randn(len(lengths), max(lengths), WIDTH, generator=generator)
    speech[..., 0] = STEP
    for utterance, length in zip(speech, lengths, strict=True):
        utterance[length:] = 0.0
    return speech
