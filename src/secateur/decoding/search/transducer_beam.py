"""Time-synchronous beam search of an RNN transducer.

{type: transducer_beam, beam: 5, max_symbols: 3, lm: NAME or null, lm_weight: 0.3, length_bonus: 0.0, streaming: false}
"""

from collections.abc import Callable
from functools import partial

import torch

from secateur.decoding.recognize import Decoder, Recognizer, Stopwatch, as_it_arrives, one_by_one
from secateur.decoding.search import Search
from secateur.decoding.transducer import Beam

SCHEMA = {
    "beam": {"type": "integer", "minimum": 1, "default": 5, "description": "Hypotheses kept after every frame."},
    "max_symbols": {"type": "integer", "minimum": 1, "default": 3, "description": "Most labels at one frame."},
    "lm": {"type": ["string", "null"], "default": None, "description": "An entry of `language_models`."},
    "lm_weight": {"type": "number", "minimum": 0, "default": 0.3, "description": "Weight of the LM."},
    "length_bonus": {"type": "number", "default": 0.0, "description": "Bonus per token."},
    "streaming": {"type": "boolean", "default": False, "description": "Segment by segment, as speech arrives."},
}
PART = "joiner"


def transducer_beam(
    recognizer: Recognizer,
    beam: int,
    max_symbols: int,
    lm_weight: float,
    length_bonus: float,
    streaming: bool,
) -> Decoder:
    """Time-synchronous beam search of a transducer, one utterance at a time; see `secateur.decoding.transducer.Beam`.

    Args:
        beam: hypotheses kept after each frame.
        max_symbols: most labels at one frame.
        streaming: as for `transducer_greedy`.
    """
    lm_watch = Stopwatch(recognizer.device)

    def begin() -> tuple[Callable[[torch.Tensor], None], Callable[[], str]]:
        search = Beam(recognizer.model, beam, max_symbols, recognizer.lm, lm_weight, length_bonus, lm_watch)

        def advance(encoder_out: torch.Tensor) -> None:
            search.advance(encoder_out[0])

        return advance, lambda: recognizer.tokenizer.decode(list(search.finish()[0].labels))

    def best(encoder_out: torch.Tensor) -> str:
        advance, finish = begin()
        advance(encoder_out[None])
        return finish()

    if streaming:
        return partial(as_it_arrives, recognizer, begin=begin, lm_watch=lm_watch)
    return partial(one_by_one, recognizer, best=best, lm_watch=lm_watch)


SEARCH = Search(transducer_beam, part=PART, called="joiner")
