"""Encoders of Secateur, dense or structurally pruned, as an upstream of s3prl.

s3prl gives a list of waveforms of different lengths and takes a dictionary with padded hidden states, all layers of one
shape. Nothing else of it is needed here, so this runs without s3prl, too.
"""

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from secateur.ssl.checkpoints import load_encoder

FEWEST = 3
"""Frames of the shortest clip. s3prl counts samples / hop, takes clips from 50 ms, and wants more than half as many."""


class UpstreamExpert(torch.nn.Module):
    """What s3prl calls an upstream.

    Args:
        ckpt: folder of an encoder: of a student or teacher of Secateur, or of Hugging Face's (s3prl's option -k).
        model_config: not used; the folder has the configuration.
    """

    def __init__(self, ckpt: str, model_config: str | None = None, **_):
        super().__init__()
        self.model = load_encoder(ckpt)
        self.eval()

    def get_downsample_rates(self, key: str) -> int:
        """Samples from one frame to the next, whatever the feature."""
        return self.model.config.hop

    def forward(self, wavs: list[torch.Tensor]) -> dict[str, list[torch.Tensor] | torch.Tensor]:
        """Hidden states of float32 waveforms (S_i,) at 16 kHz: the input of the first layer and every layer's output,
        each (B, T, D), padded at the end. Clips of less than FEWEST frames are heard with silence behind them."""
        config = self.model.config
        shortest = config.receptive_field + (FEWEST - 1) * config.hop
        wavs = [functional.pad(wav, (0, max(shortest - len(wav), 0))) for wav in wavs]
        lengths = torch.tensor([len(wav) for wav in wavs], device=wavs[0].device)
        hidden, _ = self.model(pad_sequence(wavs, batch_first=True), lengths)
        return {"hidden_states": hidden, "last_hidden_state": hidden[-1]}
