"""CTC prefix scores for ESPnet's beam search, without a loop over frames.

The recursion over frames (Watanabe et al. 2017, algorithm 2) is linear in probabilities, so a cumulative sum solves it:
with x_s the log probability of the prefix's last token in frame s, c_t = Σ_{s≤t} x_s, and φ_t the log probability that
the prefix before has been read by frame t,

    r_t = logaddexp(r_{t−1}, φ_{t−1}) + x_t    ⇒    r_t = c_t + log Σ_{s≤t} exp(φ_{s−1} − c_{s−1})

Scores of the next tokens need φ alone; r is computed for those that the search has kept. In double precision, since
sums over all frames are subtracted from each other.
"""

from typing import Any, NamedTuple

import torch
from espnet.nets.scorer_interface import BatchPartialScorerInterface
from torch import Tensor

LOG_ZERO = -1e10  # what ESPnet takes for the logarithm of 0: differences of it are no NaN


class _Kept(NamedTuple):
    """A hypothesis that the search has kept."""

    before: Tensor  # φ of its last token: the prefix without that has been read by frame t; (frames,)
    score: Tensor  # log ψ of the whole prefix; ()


class _Extended(NamedTuple):
    """What the search chooses from: every hypothesis with every next token."""

    tokens: Tensor  # last token of each hypothesis; (hypotheses,)
    read: Tensor  # φ for tokens other than the last; (hypotheses, frames)
    after_blank: Tensor  # φ for the last token again, between which a blank must be; (hypotheses, frames)
    scores: Tensor  # log ψ; (hypotheses, vocabulary)


class PrefixScorer(BatchPartialScorerInterface):
    """What ESPnet's `CTCPrefixScorer` computes in batches, for one utterance at a time.

    Args:
        ctc: ESPnet's CTC head, with `log_softmax` over (1, frames, dim).
        eos: the end of a sentence, whose score is that of the whole utterance being read.
        blank: index of the blank, which is no next token.
    """

    def __init__(self, ctc: Any, eos: int, blank: int = 0):
        self.ctc, self.eos, self.blank = ctc, eos, blank

    def batch_init_state(self, x: Tensor) -> None:
        """Take in an utterance's encoder output, (frames, dim)."""
        self.log_probs = self.ctc.log_softmax(x[None])[0].detach().double()
        self.sums = self.log_probs.cumsum(0)

    def select_state(self, state: Any, i: int, new_id: Any = None) -> Any:
        """Hypothesis `i` of those kept, or what it becomes with the next token `new_id`."""
        if not isinstance(state, _Extended):
            return state[i]
        before = torch.where(state.tokens[i] == new_id, state.after_blank[i], state.read[i])
        return _Kept(before, state.scores[i, new_id])

    def batch_score_partial(
        self, ys: Tensor, next_tokens: Tensor | None, states: list[Any], xs: Tensor
    ) -> tuple[Tensor, _Extended]:
        """Log ψ of every prefix with every next token, less log ψ of the prefix.

        Args:
            ys: prefixes, which begin with <sos>; (hypotheses, length).
            next_tokens: those to be scored; (hypotheses, tokens). The others get the logarithm of 0. All where None.
            states: the hypotheses as `select_state` gave them; None for the empty prefix.

        Returns: scores (hypotheses, vocabulary) in the precision of `xs`, and the state to select from.
        """
        length, last = ys.size(1) - 1, ys[:, -1]
        if length:
            kept = _Kept(*(torch.stack(parts) for parts in zip(*states, strict=True)))
            label, blank = self._forward(kept.before, last, length)
            previous = kept.score[:, None]
        else:
            blank = self.sums[None, :, self.blank]
            label, previous = torch.full_like(blank, LOG_ZERO), blank.new_zeros(())
        read = torch.logaddexp(label, blank)
        tokens = torch.arange(self.sums.size(1), device=ys.device)[None] if next_tokens is None else next_tokens
        scores = read.new_full((len(ys), self.sums.size(1)), LOG_ZERO)
        scores.scatter_(1, tokens.expand(len(ys), -1), self._extended(read, blank, last, tokens, length))
        scores[:, self.eos] = read[:, -1]
        scores[:, self.blank] = LOG_ZERO
        return (scores - previous).to(xs.dtype), _Extended(last, read, blank, scores)

    def _extended(self, read: Tensor, blank: Tensor, last: Tensor, tokens: Tensor, length: int) -> Tensor:
        """Log ψ with each next token, (hypotheses, tokens): the sum over the frame in which that begins."""
        start = max(length, 1)
        begins = self.log_probs.T[tokens][..., start:]
        before = torch.where((tokens == last[:, None])[..., None], blank[:, None], read[:, None])
        scores = torch.logsumexp(before[..., start - 1 : -1] + begins, -1)
        return torch.logaddexp(scores, self.log_probs[0][tokens]) if length == 0 else scores

    def _forward(self, before: Tensor, last: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Log probability that a prefix was read by frame t, in its last token and in a blank; (hypotheses, frames)."""
        start = max(length - 1, 1)
        sums, blanks = self.sums.T[last], self.sums[None, :, self.blank]
        label, blank = torch.full_like(before, LOG_ZERO), torch.full_like(before, LOG_ZERO)
        if length == 1:
            label[:, 0] = self.log_probs[0][last]
        starts = torch.cat([label[:, start - 1 : start], before[:, start - 1 : -1]], 1)
        starts[:, 1:] -= sums[:, start - 1 : -1]
        starts[:, 0] -= sums[:, start - 1]
        label[:, start - 1 :] = torch.logcumsumexp(starts, 1) + sums[:, start - 1 :]
        entered = torch.logcumsumexp(label[:, start - 1 : -1] - blanks[:, start - 1 : -1], 1)
        blank[:, start:] = entered + blanks[:, start:]
        return label, blank
