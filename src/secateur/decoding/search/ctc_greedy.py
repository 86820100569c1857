"""Best token per frame, collapsed.

{type: ctc_greedy, batch: 16, batch_frames: 2000}
"""

from functools import partial

import torch

from secateur.decoding.recognize import Decoder, Recognizer, in_batches
from secateur.decoding.search import Search

SCHEMA = {
    "batch": {"type": "integer", "minimum": 1, "default": 16, "description": "The most utterances decoded together."},
    "batch_frames": {
        "description": "The most frames decoded together, padding included; a longer utterance is decoded alone.",
        "type": "integer",
        "minimum": 1,
        "default": 2000,
    },
}
SHOWN = {"baseline": True}


def ctc_greedy(recognizer: Recognizer, batch: int, batch_frames: int) -> Decoder:
    """Best path of CTC (Graves et al. 2006, section 3.2): the likeliest token of each frame, repetitions merged.

    Utterances of about the same length are decoded together; the hypotheses do not depend on it. The seconds of a batch
    are shared among its utterances in proportion to their frames, so with `batch` above 1 they measure throughput, not
    the waiting time of a single utterance.

    Args:
        batch: the most utterances in a batch.
        batch_frames: the most frames in a batch, padding included. Attention costs the square of the longest
            utterance for every one of its batch, so a bound on their number alone would make long ones expensive.
    """
    model, tokenizer = recognizer.model, recognizer.tokenizer

    def best(encoder_out: torch.Tensor, lengths: torch.Tensor, _: list[str]) -> list[str]:
        paths = model.ctc.argmax(encoder_out).cpu()
        return [
            tokenizer.decode(torch.unique_consecutive(path[:length]).tolist())
            for path, length in zip(paths, lengths.tolist(), strict=True)
        ]

    return partial(in_batches, recognizer, batch=batch, batch_frames=batch_frames, best=best)


SEARCH = Search(ctc_greedy)
