"""Whisper's front end (Radford et al. 2023): log-mel energies of a window of one length, two convolutions, a table of
positions. What an utterance leaves of the window is silence, which is heard as all else is."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import WhisperFeatureExtractor

from secateur.core.errors import SecateurError
from secateur.models.upstream.config import WINDOW_SHIFT, EncoderConfig

RATE = 16000


class WindowMel(nn.Module):
    """Log-mel energies of the whole window, by transformers.

    Args:
        mel: options of its `WhisperFeatureExtractor`.
    """

    def __init__(self, mel: Mapping[str, Any]):
        super().__init__()
        self.extractor = WhisperFeatureExtractor(**mel)

    @property
    def seconds(self) -> float:
        """The length of the window."""
        return self.extractor.n_samples / RATE

    def forward(self, waves: Sequence[torch.Tensor]) -> torch.Tensor:
        """Samples (S_i,) of some utterances at 16 kHz to (B, M, F), on their device.

        Raises SecateurError for an utterance that is longer than the window.
        """
        longest, device = max(map(len, waves)) / RATE, waves[0].device
        if longest > self.seconds:
            raise SecateurError(
                f"an utterance lasts {longest:.1f} s, and Whisper hears {self.seconds:g} s; cut it into shorter ones, "
                "or leave it out"
            )
        options = {"sampling_rate": RATE, "return_tensors": "pt", "device": str(device)}
        return self.extractor([wave.cpu().numpy() for wave in waves], **options).input_features.to(device)


class WindowExtractor(nn.Module):
    """Waveforms to the frames of the window."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        seconds = config.num_conv_pos_embeddings * WINDOW_SHIFT // RATE
        self.mel = WindowMel({"feature_size": config.mel_bins, "chunk_length": seconds})
        self.conv1 = nn.Conv1d(config.mel_bins, config.hidden_size, 3, padding=1)
        self.conv2 = nn.Conv1d(config.hidden_size, config.hidden_size, 3, stride=2, padding=1)

    def forward(self, waveforms: torch.Tensor, *_: Any) -> torch.Tensor:
        """(B, S), zero padded, → (B, T, D), T always that of the window."""
        with torch.autocast(waveforms.device.type, enabled=False):
            mel = self.mel(list(waveforms.float()))
        return functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)


class WindowPositions(nn.Module):
    """The table of positions (T, D), which is not trained."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.register_buffer("weight", torch.zeros(config.num_conv_pos_embeddings, config.hidden_size))

    def forward(self, *_: Any) -> torch.Tensor:
        return self.weight
