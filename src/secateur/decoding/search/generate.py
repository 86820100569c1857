"""Whisper's own generation, by transformers: the language is the corpus', the task to transcribe, without timestamps.

{type: generate, batch: 16, batch_frames: 48000, beam: 1}

References and hypotheses are both scored as `secateur.speech.corpora.text.normalise` writes them: lower case, no
punctuation, numbers spelled out. A number in a hypothesis that has no safe reading is left out.
"""

from functools import partial

import torch

from secateur.decoding.recognize import Decoder, Recognizer, in_batches
from secateur.decoding.search import Search
from secateur.speech.corpora.text import normalise_anything

PART = "generate"
RUNS = ("decoder",)
READS = ("tokens",)
SCHEMA = {
    "batch": {"type": "integer", "minimum": 1, "default": 16, "description": "The most utterances decoded together."},
    "batch_frames": {
        "description": "The most frames decoded together, padding included; a longer utterance is decoded alone.",
        "type": "integer",
        "minimum": 1,
        "default": 48000,
    },
    "beam": {"type": "integer", "minimum": 1, "default": 1, "description": "Hypotheses kept; 1 is greedy search."},
}
SHOWN = {"baseline": True}


def generate(recognizer: Recognizer, batch: int, batch_frames: int, beam: int) -> Decoder:
    """Greedy or beam search over the decoder.

    Args:
        batch, batch_frames: as for `ctc_greedy`. Whisper hears a whole window, however short an utterance is.
        beam: hypotheses kept.
    """
    model, tokenizer = recognizer.model, recognizer.tokenizer

    def best(encoder_out: torch.Tensor, lengths: torch.Tensor, languages: list[str]) -> list[str]:
        return [tokenizer.decode(ids) for ids in model.generate(encoder_out, languages, beam)]

    return partial(in_batches, recognizer, batch=batch, batch_frames=batch_frames, best=best)


SEARCH = Search(generate, part=PART, called="generation of its own", written=normalise_anything)
