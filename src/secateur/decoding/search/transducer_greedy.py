"""Likeliest label at every step of an RNN transducer.

{type: transducer_greedy, batch: 16, batch_frames: 2000, max_symbols: 10, streaming: false}
"""

from collections.abc import Callable
from functools import partial

import torch

from secateur.decoding.recognize import Decoder, Recognizer, Stopwatch, as_it_arrives, in_batches
from secateur.decoding.search import Search
from secateur.decoding.transducer import Greedy

SCHEMA = {
    "batch": {"type": "integer", "minimum": 1, "default": 16, "description": "Most utterances decoded together."},
    "batch_frames": {
        "type": "integer",
        "minimum": 1,
        "default": 2000,
        "description": "Most frames in a batch, padding included.",
    },
    "max_symbols": {"type": "integer", "minimum": 1, "default": 10, "description": "Most labels at one frame."},
    "streaming": {"type": "boolean", "default": False, "description": "Segment by segment, as speech arrives."},
}
PART = "joiner"
SHOWN = {"baseline": True}


def transducer_greedy(
    recognizer: Recognizer, batch: int, batch_frames: int, max_symbols: int, streaming: bool
) -> Decoder:
    """The likeliest label at every step of a transducer (Graves 2012); see `secateur.decoding.transducer.Greedy`.

    Args:
        batch, batch_frames: as for `ctc_greedy`.
        max_symbols: most labels at one frame.
        streaming: encode and search an utterance segment by segment, as it would arrive, one utterance at a time. The
            hypotheses are the same.
    """
    model, decode_tokens = recognizer.model, recognizer.tokenizer.decode

    def best(encoder_out: torch.Tensor, lengths: torch.Tensor, _: list[str]) -> list[str]:
        search = Greedy(model, len(encoder_out), max_symbols)
        search.advance(encoder_out, lengths)
        return [decode_tokens(labels) for labels in search.labels]

    def begin() -> tuple[Callable[[torch.Tensor], None], Callable[[], str]]:
        search = Greedy(model, 1, max_symbols)

        def advance(encoder_out: torch.Tensor) -> None:
            search.advance(encoder_out, torch.tensor([encoder_out.shape[1]]))

        return advance, lambda: decode_tokens(search.labels[0])

    if streaming:
        return partial(as_it_arrives, recognizer, begin=begin, lm_watch=Stopwatch(recognizer.device))
    return partial(in_batches, recognizer, batch=batch, batch_frames=batch_frames, best=best)


SEARCH = Search(transducer_greedy, part=PART, called="joiner")
