"""Small models of every kind that has attention heads, and a batch for them."""

import numpy as np
import pytest
import torch
from tiny import CTC, TOKENS, hybrid, transducer, with_encoder

from secateur.models.build import build_model
from secateur.speech.data import Batch

TRANSFORMER = with_encoder(CTC, dim=24, heads=3)
CONFORMER = with_encoder(TRANSFORMER, type="conformer")
HYBRID = hybrid(TRANSFORMER, layers=2)
EMFORMER = transducer(TRANSFORMER)
CONFIGS = {"transformer": TRANSFORMER, "conformer": CONFORMER, "hybrid": HYBRID, "emformer": EMFORMER}
FRAMES = (60, 43, 52, 31)
TEXTS = ([3, 2, 4], [5, 3], [4, 4, 2, 5], [3])
ALL = (0, 1, 2, 3)
EVERY_CONFIG = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def make_model(config, seed=1, scale=2):
    """A model in evaluation mode, its weights made larger than at first for its heads to matter."""
    torch.manual_seed(seed)
    model = build_model(config, TOKENS).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "encoders" in name:
                parameter *= scale
        model.ctc.ctc_lo.weight *= 5
        if config["type"] == "rnnt":
            model.joiner.output.weight *= 5
    return model


def make_batch(utterances=ALL):
    """A batch of some of four utterances."""
    matrices = [speech(number) for number in utterances]
    texts = [torch.tensor(TEXTS[number]) for number in utterances]
    pad = torch.nn.utils.rnn.pad_sequence
    tensors = {
        "speech": pad(matrices, batch_first=True),
        "speech_lengths": torch.tensor([len(matrix) for matrix in matrices]),
        "text": pad(texts, batch_first=True, padding_value=-1),
        "text_lengths": torch.tensor([len(text) for text in texts]),
    }
    return Batch([str(number) for number in utterances], [""] * len(matrices), tensors)


def speech(number):
    """Features (T, F) of an utterance."""
    generator = np.random.default_rng(number)
    return torch.from_numpy(generator.standard_normal((FRAMES[number], 20), np.float32))
