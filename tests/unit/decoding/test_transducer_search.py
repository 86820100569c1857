"""Transducer searches against complete enumeration, and in chunks against the whole."""

import itertools
import random

import pytest
import torch

from secateur.decoding.transducer import Beam, Greedy
from secateur.models.build import build_model
from secateur.models.rnnt_loss import rnnt_loss

DIM = 8


class Bigram:
    """A language model that is a table of log-probabilities (V, V)."""

    def __init__(self, tokens, seed=0):
        self.table = torch.randn(tokens, tokens, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)

    def batch_score(self, ys, states, xs):
        return self.table[ys[:, -1]], [None] * len(ys)


def transducer(tokens=6, seed=0, sharpness=4.0):
    """A model whose predictions depend on frame and prefix."""
    torch.manual_seed(seed)
    names = ["<blank>", *map(str, range(tokens - 2)), "<sos/eos>"]
    encoder = {
        "type": "emformer",
        "layers": 1,
        "dim": DIM,
        "heads": 2,
        "ffn": 8,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "segment": 2,
        "left_context": 4,
        "right_context": 1,
        "memory": 0,
        "positions": False,
        "convolution": 0,
    }
    config = {
        "type": "rnnt",
        "features": 5,
        "input": "stack",
        "stack": 2,
        "encoder": encoder,
        "stochastic_depth": 0.0,
        "predictor": {"embedding": 6, "dim": 9, "layers": 2, "dropout": 0.0},
        "joiner": {"dim": 7},
        "ctc_weight": 0.0,
    }
    model = build_model(config, names).eval()
    with torch.no_grad():
        for linear in (model.joiner.encoder, model.joiner.predictor):
            linear.weight *= sharpness
        model.joiner.output.weight *= sharpness
        # As in speech, most steps are blanks.
        model.joiner.output.bias[0] += 1.0
    return model.requires_grad_(False)


def frames(count, seed=0, batch=1):
    return torch.randn(batch, count, DIM, generator=torch.Generator().manual_seed(seed))


def simple_greedy(model, encoder_out, max_symbols):
    """Labels of one utterance (T, D), the prefix read again from its beginning at every step."""
    labels = []
    for frame in encoder_out:
        for _ in range(max_symbols):
            predictor_out, _ = model.predictor(torch.tensor([[model.blank_id, *labels]]))
            best = model.joiner(frame[None, None], predictor_out[:, -1:])[0, 0, 0].argmax().item()
            if best == model.blank_id:
                break
            labels.append(best)
    return labels


@pytest.mark.parametrize("max_symbols", [1, 2, 10])
def test_greedy_takes_the_likeliest_step_each_time(max_symbols):
    model = transducer()
    encoder_out, lengths = frames(30, batch=5), torch.tensor([30, 1, 17, 29, 8])
    search = Greedy(model, 5, max_symbols)
    search.advance(encoder_out, lengths)
    for i, length in enumerate(lengths):
        assert search.labels[i] == simple_greedy(model, encoder_out[i, :length], max_symbols)
    assert sum(map(len, search.labels)) > 15


def cut(count, seed):
    """Random cuts of `count` frames into chunks, empty ones among them."""
    rng, places = random.Random(seed), [0]
    while places[-1] < count:
        places.append(min(count, places[-1] + rng.choice([0, 1, 2, 5])))
    return itertools.pairwise(places)


@pytest.mark.parametrize("seed", range(4))
def test_greedy_in_chunks_finds_the_same(seed):
    model, encoder_out = transducer(seed=seed), frames(40, seed)
    whole, parts = Greedy(model), Greedy(model)
    whole.advance(encoder_out, torch.tensor([40]))
    for start, end in cut(40, seed):
        parts.advance(encoder_out[:, start:end], torch.tensor([end - start]))
    assert parts.labels == whole.labels
    assert len(set(whole.labels[0])) > 1


@pytest.mark.parametrize("with_lm", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_beam_in_chunks_finds_the_same(seed, with_lm):
    model, encoder_out = transducer(seed=seed), frames(40, seed)[0]
    lm = Bigram(6) if with_lm else None
    whole, parts = Beam(model, 3, lm=lm), Beam(model, 3, lm=lm)
    whole.advance(encoder_out)
    for start, end in cut(40, seed):
        parts.advance(encoder_out[start:end])
    assert [hypothesis.labels for hypothesis in parts.finish()] == [hypothesis.labels for hypothesis in whole.finish()]
    assert parts.finish()[0].score == pytest.approx(whole.finish()[0].score, abs=1e-3)


def exact(model, encoder_out, labels):
    """ln P(labels | speech) by the training loss."""
    predictor_out, _ = model.predictor(torch.tensor([[model.blank_id, *labels]]))
    logits = model.joiner(encoder_out[None], predictor_out)
    lengths = torch.tensor([len(encoder_out)]), torch.tensor([len(labels)])
    return -rnnt_loss(logits, torch.tensor([labels], dtype=torch.long), *lengths).item()


@pytest.mark.parametrize("lm_weight", [0.0, 0.7])
def test_a_beam_that_loses_nothing_is_exact(lm_weight):
    """3 frames of up to 3 of 2 labels make 2¹⁰ − 1 prefixes; those of up to 3 labels have all their alignments."""
    model, encoder_out = transducer(tokens=3, sharpness=1.0), frames(3)[0]
    lm = Bigram(3) if lm_weight else None
    search = Beam(model, 2000, max_symbols=3, lm=lm, lm_weight=lm_weight, length_bonus=0.4)
    search.advance(encoder_out)
    found = {hypothesis.labels: hypothesis.score for hypothesis in search.finish()}
    assert len(found) == 1023
    expected = {}
    for length in range(4):
        for labels in itertools.product([1, 2], repeat=length):
            score = exact(model, encoder_out, list(labels)) + 0.4 * length
            if lm:
                score += lm_weight * sum(lm.table[a, b].item() for a, b in itertools.pairwise([2, *labels, 2]))
            expected[labels] = score
            assert found[labels] == pytest.approx(score, abs=1e-4)
    assert search.finish()[0].labels == max(expected, key=expected.get)
    scores = [hypothesis.score for hypothesis in search.finish()]
    assert scores == sorted(scores, reverse=True)


def test_a_narrow_beam_is_no_better_than_exact_and_a_wider_one_no_worse():
    for seed in range(5):
        model, encoder_out = transducer(seed=seed, sharpness=2.0), frames(12, seed)[0]
        best = []
        for beam in (1, 2, 8, 30):
            search = Beam(model, beam, max_symbols=4)
            search.advance(encoder_out)
            assert len(search.finish()) == beam
            first = search.finish()[0]
            assert first.score <= exact(model, encoder_out, list(first.labels)) + 1e-4
            best.append(exact(model, encoder_out, list(first.labels)))
        assert best[-1] == max(best)


def test_probabilities_of_alignments_of_the_same_labels_are_added():
    """Two frames, a beam with room for all three results: a label at the first or at the second frame is one result."""
    model, encoder_out = transducer(tokens=3, sharpness=1.0), frames(2)[0]
    model.joiner.output.bias[2] = -50.0
    search = Beam(model, 3, max_symbols=1)
    search.advance(encoder_out)
    found = {hypothesis.labels: hypothesis.score for hypothesis in search.finish()}
    assert found.keys() == {(), (1,), (1, 1)}
    assert found[(1,)] == pytest.approx(exact_at_most_one(model, encoder_out), abs=1e-4)


def exact_at_most_one(model, encoder_out):
    """ln of P(label, blank, blank) + P(blank, label, blank)."""
    before, _ = model.predictor(torch.tensor([[0]]))
    after, _ = model.predictor(torch.tensor([[0, 1]]))
    scores = model.joiner(encoder_out[None], torch.cat([before, after[:, 1:]], dim=1))[0].log_softmax(-1)
    first = scores[0, 0, 1] + scores[0, 1, 0] + scores[1, 1, 0]
    second = scores[0, 0, 0] + scores[1, 0, 1] + scores[1, 1, 0]
    return torch.logaddexp(first, second).item()


def test_time_in_the_language_model_is_taken():
    entered = []

    class Watch:
        def __enter__(self):
            entered.append(True)

        def __exit__(self, *exception):
            pass

    model = transducer()
    search = Beam(model, 2, lm=Bigram(6), lm_watch=Watch())
    search.advance(frames(5)[0])
    assert entered
