"""Masked prediction of clustered frames: what HuBERT and WavLM are pretrained with (Hsu et al. 2021, section II)."""

import torch
from torch import nn
from torch.nn import functional

from secateur.models.upstream.convolutions import valid_frames
from secateur.models.upstream.encoder import Encoder
from secateur.speech.data import IGNORED
from secateur.ssl.options import PredictionOptions


class MaskedPrediction(nn.Module):
    """An encoder with a head that says which cluster each frame belongs to, some of them masked.

    p(c | o_t) ∝ exp(cos(A o_t, e_c) / τ); the loss is α L_m + (1 − α) L_u, the mean negative log-likelihoods of the
    frames that are masked and of those that are not. HuBERT's α is 1; in some hundred steps, only an α below it learns.

    Args:
        options: how many clusters, the width of A o_t and e_c (`codeword`), τ, α, and where masks are.
    """

    def __init__(self, encoder: Encoder, options: PredictionOptions):
        super().__init__()
        self.encoder, self.temperature, self.alpha = encoder, options.temperature, options.masked_weight
        self.probability, self.length = options.mask_probability, options.mask_length
        self.projection = nn.Linear(encoder.config.hidden_size, options.codeword)
        self.codewords = nn.Parameter(torch.randn(options.clusters, options.codeword))

    def forward(
        self, waveforms: torch.Tensor, lengths: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Loss, the share of masked frames that are predicted right (`accuracy`), and the number of frames.

        In evaluation the masks are always the same.

        Args:
            waveforms, lengths: (B, S) samples and (B,) their numbers.
            targets: (B, T) clusters; padding is IGNORED, and frames behind the last target are not predicted.
        """
        features, frames = self.encoder.features(waveforms, lengths)
        generator = None if self.training else torch.Generator(frames.device).manual_seed(0)
        masked = draw_masks(frames, features.shape[1], self.probability, self.length, generator)
        hidden = self.encoder.contextualize(features, frames, masked)[-1]
        shared = min(hidden.shape[1], targets.shape[1])
        known = (targets[:, :shared] != IGNORED) & valid_frames(frames, shared)
        wanted, masked = targets[:, :shared][known], masked[:, :shared][known]
        projected = self.projection(hidden[:, :shared][known])
        with torch.autocast(hidden.device.type, enabled=False):
            similarity = functional.normalize(projected.float(), dim=1) @ functional.normalize(self.codewords, dim=1).T
            losses = functional.cross_entropy(similarity / self.temperature, wanted, reduction="none")
        loss = self.alpha * _mean(losses, masked) + (1 - self.alpha) * _mean(losses, ~masked)
        right = (similarity.detach().argmax(1) == wanted).float()
        return loss, {"accuracy": _mean(right, masked)}, known.sum()


def draw_masks(
    frames: torch.Tensor, most: int, probability: float, length: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Masks (B, most) of utterances of `frames` (B,) frames: spans of `length` that start at random and may overlap.

    A span starts at every frame with `probability`; an utterance in which none does gets one.
    """
    device = frames.device
    valid = valid_frames(frames, most)
    starts = (torch.rand(len(frames), most, device=device, generator=generator) < probability) & valid
    spare = (torch.rand(len(frames), device=device, generator=generator) * frames).long()
    starts |= functional.one_hot(spare, most).bool() & ~starts.any(1, keepdim=True)
    begun = starts.long().cumsum(1)
    return (begun - functional.pad(begun, (length, 0))[:, :most] > 0) & valid


def _mean(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Mean of the chosen ones of (N,) values; 0 if there are none."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
