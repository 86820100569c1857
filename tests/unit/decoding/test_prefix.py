"""CTC prefix scores: against the sum over all alignments, and against ESPnet's scorer, step by step."""

from itertools import product

import pytest
import torch
from espnet.nets.scorers.ctc import CTCPrefixScorer

from secateur.decoding.prefix import LOG_ZERO, PrefixScorer

EOS = 3  # of blank, two letters, <eos>


class Head:
    """A CTC head whose inputs are its outputs."""

    @staticmethod
    def log_softmax(x):
        return x.log_softmax(-1)


def read_by(path):
    """The labels of an alignment: repetitions merged, blanks gone."""
    return tuple(token for i, token in enumerate(path) if token and (i == 0 or path[i - 1] != token))


def prefix_probability(probs, prefix, whole=False):
    """The probability of all alignments whose labels begin with `prefix`, or are it."""
    total = 0.0
    for path in product(range(probs.size(1)), repeat=len(probs)):
        labels = read_by(path)
        if labels == prefix if whole else labels[: len(prefix)] == prefix:
            total += float(torch.tensor([probs[t, token] for t, token in enumerate(path)]).prod())
    return total


@pytest.mark.parametrize("prefix", [(1,), (1, 1), (1, 2), (2, 1, 1), (1, 2, 1, 2)])
def test_a_score_is_the_sum_over_all_alignments(prefix):
    x = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    probs = x.double().softmax(-1)
    scorer = PrefixScorer(Head, EOS)
    scorer.batch_init_state(x)
    states, ys, log_psi = [None], torch.tensor([[EOS]]), 0.0
    for token in prefix:
        scores, extended = scorer.batch_score_partial(ys, None, states, x.double())
        log_psi += float(scores[0, token])
        states, ys = [scorer.select_state(extended, 0, token)], torch.cat([ys, torch.tensor([[token]])], 1)
    expected = prefix_probability(probs, prefix)
    if expected == 0:  # more labels, and blanks between equal ones, than frames
        assert log_psi < LOG_ZERO / 2
        return
    assert log_psi == pytest.approx(torch.tensor(expected).log().item(), abs=1e-6)
    scores, _ = scorer.batch_score_partial(ys, None, states, x.double())
    whole = torch.tensor(prefix_probability(probs, prefix, whole=True)).log().item()
    assert log_psi + float(scores[0, EOS]) == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("some", [None, 5], ids=["all tokens", "five tokens"])
@pytest.mark.parametrize("frames", [1, 2, 40])
def test_scores_are_those_of_espnet(some, frames):
    torch.manual_seed(frames)
    x, vocabulary = 4 * torch.randn(frames, 9), 9
    scorers = [PrefixScorer(Head, vocabulary - 1), CTCPrefixScorer(Head, vocabulary - 1)]
    states = [[None], [None]]
    for scorer in scorers:
        scorer.batch_init_state(x)
    ys = torch.tensor([[vocabulary - 1]])
    for _ in range(frames):
        tokens = None
        if some:
            tokens = torch.stack([1 + torch.randperm(vocabulary - 2)[:some] for _ in ys])
            tokens[0, 0] = ys[0, -1] if ys[0, -1] != vocabulary - 1 else tokens[0, 0]  # the last one again, too
            if len(set(tokens[0].tolist())) < some:
                tokens[0] = torch.arange(1, some + 1)
        outputs = [
            scorer.batch_score_partial(ys, tokens, state, x) for scorer, state in zip(scorers, states, strict=True)
        ]
        (ours, extended), (theirs, known) = outputs
        possible = theirs > LOG_ZERO / 2
        assert torch.equal(possible, ours > LOG_ZERO / 2)
        assert torch.allclose(ours[possible], theirs[possible], atol=2e-3)  # theirs is in single precision
        best = torch.where(possible, theirs, torch.full_like(theirs, -torch.inf))
        best[:, -1] = -torch.inf  # a finished hypothesis is not extended
        chosen = best.flatten().topk(min(3, int((best > -torch.inf).sum())))[1]
        if not len(chosen):
            break
        hypotheses, new = chosen // vocabulary, chosen % vocabulary
        states = [
            [scorer.select_state(state, i, token) for i, token in zip(hypotheses, new, strict=True)]
            for scorer, state in zip(scorers, (extended, known), strict=True)
        ]
        ys = torch.cat([ys[hypotheses], new[:, None]], 1)
    assert ys.size(1) > min(frames, 20)
