"""Transformer language models as ONNX files, one step of a search: the scores of the next token of several prefixes.

Inputs: `prefixes` (B, T), int64, and `states` (L, B, T - 1, D), what the L layers gave for the prefixes without their
last token, as the step before left it; T = 1 begins. Outputs: `log_probs` (B, V), natural logarithms, and `next_states`
(L, B, T, D). B and T are free.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
from espnet.nets.scorer_interface import BatchScorerInterface
from espnet2.lm.transformer_lm import TransformerLM

from secateur.core.errors import SecateurError
from secateur.core.files import written_aside
from secateur.decoding.onnx import OPSET, TOLERANCE, session
from secateur.decoding.onnx_positions import computed_positions

INPUTS, OUTPUTS = ("prefixes", "states"), ("log_probs", "next_states")
CHECKED = (3, 9)
"""Prefixes, and steps, that are compared with torch."""


class _Step(torch.nn.Module):
    """`TransformerLM.batch_score`. The last position, the only one that is computed, may look at all before it."""

    def __init__(self, lm: TransformerLM):
        super().__init__()
        self.lm = lm

    def forward(self, prefixes: torch.Tensor, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = (prefixes != 0).unsqueeze(-2)
        hidden, _, found = self.lm.encoder.forward_one_step(self.lm.embed(prefixes), mask, cache=list(states.unbind(0)))
        return self.lm.decoder(hidden[:, -1]).log_softmax(-1), torch.stack(found)


class OnnxLM(BatchScorerInterface):
    """A language model for searches that ONNX Runtime runs, on the CPU.

    Args:
        path: a file that `export_lm` wrote, quantised or not.
    """

    def __init__(self, path: str | Path):
        self.session = session(path)
        self.layers, _, _, self.width = self.session.get_inputs()[1].shape

    def batch_score(self, ys: torch.Tensor, states: list[Any], xs: torch.Tensor) -> tuple[torch.Tensor, list[Any]]:
        """Scores (B, V) of what follows the prefixes `ys` (B, T), and the states of these, (L, T, D) each."""
        begin = torch.zeros(self.layers, len(ys), 0, self.width)
        before = begin if states[0] is None else torch.stack(states, 1)
        scores, after = self.session.run(None, dict(zip(INPUTS, (ys.cpu().numpy(), before.numpy()), strict=True)))
        return torch.from_numpy(scores).to(ys.device), list(torch.from_numpy(after).unbind(1))


def export_lm(lm: torch.nn.Module, path: str | Path) -> float:
    """Write a Transformer language model, in evaluation mode on the CPU, to `path`, and check the file.

    Args:
        lm: what searches ask (`secateur.models.load.language_model`).

    Returns the largest difference between the log-probabilities of ONNX Runtime and torch, in nats, over the steps of a
    search. Raises SecateurError when it is above `TOLERANCE`, and then writes nothing; and for other language models.
    """
    if not isinstance(lm, TransformerLM):
        raise SecateurError("of language models, Transformers alone are exported to ONNX; this one is recurrent")
    layers, width = len(lm.encoder.encoders), lm.encoder.after_norm.normalized_shape[0]
    example = torch.ones(2, 3, dtype=torch.long), torch.zeros(layers, 2, 2, width)
    names = {"prefixes": {0: "batch", 1: "tokens"}, "states": {1: "batch", 2: "tokens_before"}}
    names |= {"log_probs": {0: "batch"}, "next_states": {1: "batch", 2: "tokens"}}
    with written_aside(path) as aside:
        with warnings.catch_warnings(), computed_positions(lm):
            warnings.simplefilter("ignore")  # of tracing: what it takes for constant are checks
            torch.onnx.export(
                _Step(lm).eval(),
                example,
                str(aside),
                dynamo=False,  # as in `export_checked`
                opset_version=OPSET,
                input_names=list(INPUTS),
                output_names=list(OUTPUTS),
                dynamic_axes=names,
            )
        return _check(lm, OnnxLM(aside))


@torch.inference_mode()
def _check(lm: TransformerLM, found: OnnxLM) -> float:
    generator, (count, steps), worst = torch.Generator().manual_seed(0), CHECKED, 0.0
    prefixes = torch.randint(1, lm.embed.num_embeddings, (count, steps), generator=generator)
    ours: list[Any] = [None] * count
    theirs = list(ours)
    for length in range(1, steps + 1):
        expected, theirs = lm.batch_score(prefixes[:, :length], theirs, None)
        scores, ours = found.batch_score(prefixes[:, :length], ours, None)
        worst = max(worst, float((scores - expected).abs().max()))
    if not worst <= TOLERANCE:
        raise SecateurError(
            f"ONNX Runtime's log-probabilities of tokens are off torch's by {worst:.2e} nats, more than "
            f"{TOLERANCE:.0e}; the exported language model would not compute the same; please report this"
        )
    return worst
