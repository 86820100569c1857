"""Frames of a guide: a layer of a model that was trained on transcripts, whose clusters are targets of pretraining.

C. Wang et al., "Supervision-Guided Codebooks for Masked Prediction in Speech Pre-training", Interspeech 2022. Targets
import this by name where there is a guide, so that no other targets depend on the code of acoustic models.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from secateur.layers.hidden import layer_outputs
from secateur.models.load import load_model
from secateur.speech.data import pad
from secateur.speech.features import log_mel
from secateur.ssl.clusters import MFCC_SHIFT, Frames

CONV2D = 4
"""Frames that `input: conv2d` makes one of."""
LEAST = 3
"""Outputs of an acoustic model that an utterance must be long enough for."""


def frames_of(folder: Path, layer: int | None, hop: int, device: torch.device) -> tuple[Frames, int]:
    """The frames of the model in a folder, and the layer: the middle one if none is given."""
    guide = load_model(folder, device)
    layer = layer or (guide.config["encoder"]["layers"] + 1) // 2
    return guide_frames(guide.model, guide.config, layer, hop, device), layer


def guide_frames(
    model: torch.nn.Module, config: Mapping[str, Any], layer: int, hop: int, device: torch.device
) -> Frames:
    """Frames every `hop` samples, of each the output of layer `layer` (from 1) of an acoustic model at its middle.

    Args:
        model: reads log-mel energies, every `MFCC_SHIFT` samples.
        config: its configuration.
    """
    apart = MFCC_SHIFT * (config["stack"] if config["input"] == "stack" else CONV2D)  # samples between its outputs

    def frames(waves: Sequence[np.ndarray]) -> list[np.ndarray]:
        speech = [torch.from_numpy(log_mel(samples, config["features"])) for samples in waves]
        counts = [-(-len(one) * MFCC_SHIFT // hop) for one in speech]
        found = [np.zeros((0, config["encoder"]["dim"]), np.float32)] * len(waves)
        heard = [place for place, one in enumerate(speech) if len(one) * MFCC_SHIFT >= LEAST * apart]
        if heard:
            lengths = torch.tensor([len(speech[place]) for place in heard], device=device)
            with layer_outputs(model) as outputs:
                hidden, outputs_of = outputs(pad([speech[place] for place in heard], 0.0).to(device), lengths)
            for place, output, count in zip(
                heard, hidden[layer].float().cpu().numpy(), outputs_of.tolist(), strict=True
            ):
                middles = np.arange(counts[place]) * hop + hop // 2
                found[place] = output[np.minimum(middles // apart, count - 1)]
        return found

    return frames
