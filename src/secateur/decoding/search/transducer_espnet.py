"""ESPnet's own searches of a transducer; with a beam of 1 the likeliest label at every step.

{type: transducer_espnet, beam: 5, algorithm: default, lm: NAME or null, lm_weight: 0.3}
"""

from collections.abc import Callable
from functools import partial

import torch
from espnet2.asr.transducer.beam_search_transducer import BeamSearchTransducer

from secateur.decoding.recognize import Decoder, Recognizer, Stopwatch, one_by_one
from secateur.decoding.search import Search

SCHEMA = {
    "beam": {"type": "integer", "minimum": 1, "default": 5, "description": "Hypotheses kept; 1 for greedy search."},
    "algorithm": {
        "enum": ["default", "tsd", "alsd", "nsc", "maes"],
        "default": "default",
        "description": "Which of ESPnet's; all but `default` do without a Transformer language model.",
    },
    "lm": {"type": ["string", "null"], "default": None, "description": "An entry of `language_models`."},
    "lm_weight": {"type": "number", "minimum": 0, "default": 0.3, "description": "Weight of the LM."},
}
PART = "joint_network"
SHOWN = {"baseline": True}


def transducer_espnet(recognizer: Recognizer, beam: int, algorithm: str, lm_weight: float) -> Decoder:
    """ESPnet's `BeamSearchTransducer`, one utterance at a time, as its `Speech2Text` calls it.

    Args:
        beam: hypotheses kept.
        algorithm: `default` is Graves (2012), the others its faster relatives, as ESPnet names them.
    """
    model = recognizer.model
    search = labels_of(model, beam, algorithm, recognizer.lm, lm_weight)
    return partial(
        one_by_one,
        recognizer,
        best=lambda encoder_out: recognizer.tokenizer.decode(search(encoder_out)),
        lm_watch=Stopwatch(recognizer.device),
    )


def labels_of(
    model: torch.nn.Module, beam: int, algorithm: str, lm: torch.nn.Module | None = None, lm_weight: float = 0.0
) -> Callable[[torch.Tensor], list[int]]:
    """What finds the labels of an utterance from its encoder output (T', D)."""
    search = BeamSearchTransducer(
        decoder=model.decoder,
        joint_network=model.joint_network,
        beam_size=beam,
        lm=lm,
        lm_weight=lm_weight,
        search_type=algorithm,
        token_list=list(model.token_list),
    )

    def labels(encoder_out: torch.Tensor) -> list[int]:
        found = map(int, search(encoder_out)[0].yseq[1:])
        return [label for label in found if label != model.blank_id]

    return labels


SEARCH = Search(transducer_espnet, part=PART, called="joint network")
