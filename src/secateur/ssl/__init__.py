"""Self-supervised encoders: the model, its pretraining, its structured pruning by distillation, and its use.

from secateur.ssl import load_upstream
upstream = load_upstream("results/…/compacted")
hidden, frames = upstream(waveforms, lengths)  # L + 1 tensors (B, T, D); 16 kHz samples (B, S) and their numbers
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what a study enumerates is in this package, too, and the workflow reads that without torch
    import torch


def load_upstream(folder: str | Path, device: "str | torch.device" = "cpu") -> "torch.nn.Module":
    """Load an encoder as a feature extractor: one of our checkpoints (pretrained, pruned), or a Hugging Face folder.

    It is in evaluation mode and its weights want no gradient. `upstream(waveforms, lengths)` takes float32 samples
    (B, S) at 16 kHz, zero padded, and their numbers (B,), and answers the input of the first layer and the output of
    every layer, each (B, T, D), and the numbers of frames (B,). Padding changes nothing: see `secateur.ssl.encoder`.

    Raises SecateurError as `secateur.ssl.checkpoints.load_encoder` does.
    """
    from secateur.ssl.checkpoints import load_encoder

    return load_encoder(folder, device).requires_grad_(False)
