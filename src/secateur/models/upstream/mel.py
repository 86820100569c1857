"""Log-mel energies as the front end of an encoder, in the place of convolutions (as in MelHuBERT, Lin et al. 2022).

The numbers are those of `secateur.speech.features.log_mel` (Kaldi's filterbank without dither), shifted and scaled by
constants, with some neighbouring frames side by side. They are made in torch, so that a checkpoint reads waveforms as
any other encoder does, and an exported file, too. Nothing here is trained.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from secateur.models.upstream.config import MEL_SHIFT, MEL_WINDOW, EncoderConfig
from secateur.models.upstream.modes import is_eager

POINTS = 512  # of the Fourier transform
LOWEST, NYQUIST = 20.0, 8000.0  # Hz
EMPHASIS = 0.97
FLOOR = 2.0**-23
FULL_SCALE = 32768.0  # Kaldi reads samples as 16-bit integers
OFFSET, SCALE = 16.0, 4.0
"""About the mean and the standard deviation of log-mel energies of speech, the same for all bins and clips."""


class LogMel(nn.Module):
    """Frames of `config.mel_stack` · `config.mel_bins` scaled log-mel energies of waveforms."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.stack = config.mel_stack
        self.register_buffer("window", povey_window(), persistent=False)
        self.register_buffer("filters", mel_filters(config.mel_bins), persistent=False)

    def forward(
        self, waveforms: torch.Tensor, lengths: torch.Tensor | None, kept: Sequence[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """(B, S) → (B, T, C). Padding does not reach into an utterance's frames, so `lengths` are not looked at."""
        with torch.autocast(waveforms.device.type, enabled=False):
            power = self._power(waveforms.float() * FULL_SCALE)
            energies = torch.clamp(power @ self.filters, min=FLOOR).log()
        whole = energies.shape[1] // self.stack * self.stack
        stacked = energies[:, :whole].reshape(energies.shape[0], -1, self.stack * energies.shape[2])
        return (stacked - OFFSET) / SCALE

    def _power(self, samples: torch.Tensor) -> torch.Tensor:
        """The power spectrum (B, T, POINTS / 2) of samples (B, S), without the last frequency, which no filter has."""
        if is_eager():
            spectrum = torch.fft.rfft(prepared(samples.unfold(1, MEL_WINDOW, MEL_SHIFT), self.window), POINTS)[..., :-1]
            return spectrum.real.square() + spectrum.imag.square()
        # No runtime has the transform of frames that overlap: the same as one convolution.
        products = functional.conv1d(samples[:, None], transform(self.window)[:, None], stride=MEL_SHIFT)
        real, imaginary = products.transpose(1, 2).chunk(2, dim=2)
        return real.square() + imaginary.square()


def prepared(frames: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """Frames (…, W) without their mean, with pre-emphasis and the window."""
    frames = frames - frames.mean(-1, keepdim=True)
    before = torch.cat([frames[..., :1], frames[..., :-1]], -1)
    return (frames - EMPHASIS * before) * window


def transform(window: torch.Tensor) -> torch.Tensor:
    """The matrix (POINTS, W) that makes the real and the imaginary part of the spectrum of a frame, preparation
    included: all of that is linear."""
    frames = prepared(torch.eye(MEL_WINDOW, dtype=torch.float64, device=window.device), window.double())
    spectra = torch.fft.rfft(frames, POINTS)[:, :-1]
    return torch.cat([spectra.real, spectra.imag], 1).T.float()


def povey_window() -> torch.Tensor:
    """Kaldi's window (W,): Hann's to the power of 0.85."""
    places = torch.arange(MEL_WINDOW, dtype=torch.float64)
    return ((0.5 - 0.5 * torch.cos(2 * math.pi * places / (MEL_WINDOW - 1))) ** 0.85).float()


def mel_filters(bins: int) -> torch.Tensor:
    """Kaldi's triangular filters (POINTS / 2, bins), whose sides are straight on the mel scale."""

    def mel(frequency):
        return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)

    corners = np.linspace(mel(LOWEST), mel(NYQUIST), bins + 2)
    places = mel(np.arange(POINTS // 2) * 2 * NYQUIST / POINTS)[:, None]
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (places - left) / (centre - left), (right - places) / (right - centre)
    return torch.from_numpy(np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32))
