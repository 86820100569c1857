"""ESPnet's default front end: the power spectrum of an STFT, log-mel energies, normalisation by utterance if asked for.

{fs: 16000, n_fft: 512, win_length: null, hop_length: 128, window: hann, center: true, normalized: false, n_mels: 80,
fmin: null, fmax: null, htk: false, utterance_mvn: null or {norm_means: true, norm_vars: false, eps: 1e-20}}

The same numbers as `espnet2.asr.frontend.default.DefaultFrontend`, which cannot be imported without librosa and
torch_complex: `tests/reference/espnet` holds what that class gives. The mel filters are those of librosa, by
transformers; a checkpoint of ESPnet has its filters in it, and they are compared when it is loaded.
"""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from secateur.core.errors import SecateurError
from secateur.speech.front_ends import FrontEnd

SHOWN = {"called": "ESPnet log-mel"}
FLOOR = 1e-10
MEL = ("fs", "n_fft", "n_mels", "fmin", "fmax", "htk")
"""The options that decide the mel filters."""
WINDOWS = ("hann", "hamming", "blackman", "bartlett", "kaiser")


def extractor(options: Mapping[str, Any]) -> FrontEnd:
    """Log-mel energies of an STFT with these options."""
    if options["window"] is not None and options["window"] not in WINDOWS:
        raise SecateurError(f"front end: window {options['window']!r}; expected one of {', '.join(WINDOWS)}")
    return FrontEnd(options["n_mels"], partial(log_mel, options=dict(options)))


def log_mel(samples: np.ndarray, options: Mapping[str, Any]) -> np.ndarray:
    """Features (T, n_mels) of samples (N,); with `center`, T = 1 + N // hop_length."""
    n_fft, length = options["n_fft"], options["win_length"] or options["n_fft"]
    if len(samples) <= (n_fft // 2 if options["center"] else n_fft):
        return np.zeros((0, options["n_mels"]), np.float32)
    window = getattr(torch, f"{options['window']}_window")(length) if options["window"] else None
    spectrum = torch.stft(
        torch.from_numpy(np.asarray(samples, np.float32))[None],
        n_fft=n_fft,
        hop_length=options["hop_length"],
        win_length=length,
        window=window,
        center=options["center"],
        normalized=options["normalized"],
        onesided=True,
        return_complex=True,
    )[0].T
    power = spectrum.real**2 + spectrum.imag**2
    energies = torch.matmul(power, torch.from_numpy(mel_filters(*(options[key] for key in MEL))))
    features = torch.clamp(energies, min=FLOOR).log()
    if options["utterance_mvn"] is not None:
        features = _normalised(features, **options["utterance_mvn"])
    return features.numpy()


@cache
def mel_filters(fs: int, n_fft: int, n_mels: int, fmin: float | None, fmax: float | None, htk: bool) -> np.ndarray:
    """The filters (n_fft // 2 + 1, n_mels), float32, of `librosa.filters.mel`, area-normalised."""
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        num_frequency_bins=n_fft // 2 + 1,
        num_mel_filters=n_mels,
        min_frequency=0.0 if fmin is None else fmin,
        max_frequency=fs / 2 if fmax is None else fmax,
        sampling_rate=fs,
        norm="slaney",
        mel_scale="htk" if htk else "slaney",
    )
    return filters.astype(np.float32)


def _normalised(features: torch.Tensor, norm_means: bool, norm_vars: bool, eps: float) -> torch.Tensor:
    """By mean and variance over the utterance, as `espnet2.layers.utterance_mvn`."""
    centred = features - features.mean(0)
    std = torch.clamp(centred.pow(2).mean(0).sqrt(), min=eps)
    shifted = centred if norm_means else features
    return shifted / std if norm_vars else shifted
