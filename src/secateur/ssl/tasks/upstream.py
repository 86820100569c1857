"""Upstreams that need no training: log-mel features, the zero of the SUPERB score."""

import torch

from secateur.speech.features import log_mel

BINS = 80
SILENT = 1e-10
WINDOW = 2  # frames on either side from which a delta is fitted
OFFSET, SCALES = 16.0, (4.0, 1.0, 0.4)
"""About the mean of log-mel energies of speech, and the standard deviations of these and their first and second deltas,
the same for all clips: they only bring the features to the scale of hidden states."""


class Fbank(torch.nn.Module):
    """SUPERB's baseline: 80 log-mel energies with first and second deltas over five frames, every 10 ms. One layer.

    They are not normalised per clip (s3prl's `fbank_no_cmvn`): with its `fbank`, which is, nothing is left of a mean
    over time, and every task that pools would stay at chance (s3prl/s3prl, issue 316). With `cmvn` they are normalised
    as that one is: every dimension of a clip has mean 0 and standard deviation 1.
    """

    def __init__(self, cmvn: bool = False):
        super().__init__()
        self.cmvn = cmvn

    def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """(B, S), (B,) → [(B, T, 240)], (B,)."""
        clips = [
            features(torch.from_numpy(log_mel(samples[:length].cpu().numpy(), BINS)))
            for samples, length in zip(waveforms, lengths.tolist(), strict=True)
        ]
        if self.cmvn:
            clips = [(clip - clip.mean(0)) / (clip.std(0, correction=0) + SILENT) for clip in clips]
        frames = torch.tensor([len(clip) for clip in clips])
        padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
        return [padded.to(waveforms.device)], frames.to(lengths.device)


def features(energies: torch.Tensor) -> torch.Tensor:
    """Log-mel energies (T, F) → (T, 3 F): with deltas and deltas of deltas, each about 1 in size."""
    first = deltas(energies)
    parts = (energies - OFFSET, first, deltas(first))
    return torch.cat([part / scale for part, scale in zip(parts, SCALES, strict=True)], dim=1)


def deltas(values: torch.Tensor) -> torch.Tensor:
    """The slope of a line fitted to each frame and WINDOW on either side (T, F); frames at the ends are repeated."""
    padded = torch.cat([values[:1].expand(WINDOW, -1), values, values[-1:].expand(WINDOW, -1)])
    steps = range(-WINDOW, WINDOW + 1)
    slope = sum(step * padded[WINDOW + step : WINDOW + step + len(values)] for step in steps)
    return slope / sum(step * step for step in steps)
