"""ESPnet's own searches of a transducer; with a beam of 1 the likeliest label at every step.

{type: transducer_espnet, beam: 5, algorithm: default, lm: NAME or null, lm_weight: 0.3}
"""

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
    search = BeamSearchTransducer(
        decoder=model.decoder,
        joint_network=model.joint_network,
        beam_size=beam,
        lm=recognizer.lm,
        lm_weight=lm_weight,
        search_type=algorithm,
        token_list=list(model.token_list),
    )

    def best(encoder_out: torch.Tensor) -> str:
        labels = list(map(int, search(encoder_out)[0].yseq[1:]))
        return recognizer.tokenizer.decode([label for label in labels if label != model.blank_id])

    return partial(one_by_one, recognizer, best=best, lm_watch=Stopwatch(recognizer.device))


SEARCH = Search(transducer_espnet, part=PART, called="joint network")
