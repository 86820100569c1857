"""ESPnet's batch beam search over CTC prefix scores, decoder and LM.

{type: beam, beam: 5, ctc_weight: 0.3, lm: NAME or null, lm_weight: 0.3, length_bonus: 0.0}
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from espnet.nets.batch_beam_search import BatchBeamSearch
from espnet.nets.scorer_interface import BatchScorerInterface
from espnet.nets.scorers.length_bonus import LengthBonus

from secateur.core.errors import SecateurError
from secateur.decoding.memory import projected_once
from secateur.decoding.prefix import PrefixScorer
from secateur.decoding.recognize import Decoder, Recognizer, Stopwatch, one_by_one
from secateur.decoding.search import Search

RUNS = ("decoder",)
SCHEMA = {
    "beam": {
        "type": "integer",
        "minimum": 1,
        "default": 10,
        "description": "Hypotheses kept; fewer than there are tokens.",
    },
    "ctc_weight": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.3,
        "description": "Weight of CTC against the decoder; models without a decoder use CTC alone.",
    },
    "lm": {"type": ["string", "null"], "default": None, "description": "An entry of `language_models`."},
    "lm_weight": {"type": "number", "minimum": 0, "default": 0.3, "description": "Weight of the LM."},
    "length_bonus": {"type": "number", "default": 0.0, "description": "Bonus per token."},
}
FEWER = ("beam",)


def beam(
    recognizer: Recognizer,
    beam: int,
    ctc_weight: float,
    lm_weight: float,
    length_bonus: float,
) -> Decoder:
    """ESPnet's label-synchronous beam search, one utterance at a time (Watanabe et al. 2017; Seki et al. 2019).

    score = ctc_weight · CTC prefix + (1 − ctc_weight) · attention decoder + lm_weight · LM + length_bonus · tokens,
    all natural logarithms. A model without a decoder has CTC at weight 1, whatever `ctc_weight` says.

    With a decoder, ESPnet's pre-beam lets the other scorers choose which 1.5 × `beam` tokens CTC looks at. Without one
    those would be chosen by the language model alone, so CTC then looks at every token, with and without LM.

    Args:
        beam: hypotheses kept; fewer than there are tokens.
    """
    lm_watch = Stopwatch(recognizer.device)
    best = best_of(recognizer, beam, ctc_weight, lm_weight, length_bonus, lm_watch)
    return partial(one_by_one, recognizer, best=best, lm_watch=lm_watch)


def best_of(
    recognizer: Recognizer,
    beam: int,
    ctc_weight: float,
    lm_weight: float,
    length_bonus: float,
    lm_watch: Stopwatch,
) -> Callable[[torch.Tensor], str]:
    """What finds the best text of an encoder's output (T', D); arguments as of `beam`."""
    model, tokens = recognizer.model, recognizer.tokenizer.tokens
    logging.getLogger("espnet").setLevel(logging.ERROR)  # it logs ten lines for every utterance
    if model.decoder is None:
        ctc_weight = 1.0
    search = BatchBeamSearch(
        scorers={
            "decoder": model.decoder,
            "ctc": PrefixScorer(model.ctc, model.eos),
            "lm": None if recognizer.lm is None else _TimedScorer(recognizer.lm, lm_watch),
            "length_bonus": LengthBonus(len(tokens)),
        },
        weights={
            "decoder": 1.0 - ctc_weight,
            "ctc": ctc_weight,
            "lm": lm_weight,
            "length_bonus": length_bonus,
        },
        beam_size=beam,
        vocab_size=len(tokens),
        sos=model.sos,
        eos=model.eos,
        pre_beam_score_key=None if ctc_weight == 1.0 else "full",
    )

    def best(encoder_out: torch.Tensor) -> str:
        with projected_once(model.decoder, encoder_out):
            hypotheses = search(encoder_out)
        return recognizer.tokenizer.decode(hypotheses[0].yseq.tolist()) if hypotheses else ""

    return best


class _TimedScorer(BatchScorerInterface):
    """Pass every call on to `scorer` and let `watch` run meanwhile."""

    def __init__(self, scorer: BatchScorerInterface, watch: Stopwatch):
        self.scorer, self.watch = scorer, watch

    def batch_init_state(self, x: torch.Tensor) -> Any:
        with self.watch:
            return self.scorer.batch_init_state(x)

    def batch_score(self, ys: torch.Tensor, states: list[Any], xs: torch.Tensor) -> tuple[torch.Tensor, list[Any]]:
        with self.watch:
            return self.scorer.batch_score(ys, states, xs)

    def select_state(self, state: Any, i: int, new_id: int | None = None) -> Any:
        with self.watch:
            return self.scorer.select_state(state, i, new_id)

    def final_score(self, state: Any) -> float:
        with self.watch:
            return self.scorer.final_score(state)


def _check(options: Mapping[str, Any], tokens: Sequence[str]) -> None:
    if not 1 <= options["beam"] < len(tokens):
        # If blank's prefix score, -1e10, got into the beam, ESPnet would later subtract it and lose all precision.
        raise SecateurError(
            f"search beam: beam is {options['beam']}; it must be from 1 to {len(tokens) - 1}, the tokens besides blank"
        )


SEARCH = Search(beam, check=_check)
