"""Perplexity, against numbers by hand."""

import math

import pytest
import torch

from secateur.core.errors import SecateurError
from secateur.decoding.perplexity import perplexity
from secateur.models.build import build_model
from secateur.speech.tokens import Tokenizer

TOKENS = ["<blank>", "<unk>", "<space>", "a", "b", "<sos/eos>"]
LM = {"type": "transformer_lm", "embedding": 8, "dim": 16, "heads": 2, "ffn": 16, "layers": 1, "dropout": 0.5}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model(LM, TOKENS).eval()


def test_all_tokens_equally_likely(model):
    with torch.no_grad():
        model.lm.decoder.weight.zero_()
        model.lm.decoder.bias.zero_()
    found = perplexity(model, Tokenizer(TOKENS), ["a b", "b"])
    assert found["tokens"] == 4 + 2  # with the ends
    assert found["perplexity"] == pytest.approx(6.0)
    assert found["nats"] == pytest.approx(6 * math.log(6))
    # "a b" and "b" have 3 + 1 characters and 2 + 1 words, and two ends.
    assert found["per_character"] == pytest.approx(6.0) and found["per_word"] == pytest.approx(6 ** (6 / 5))


def test_it_is_that_of_every_sentence_by_itself_token_by_token(model):
    sentences, tokenizer, nats = ["a b", "b", "ab ab a"], Tokenizer(TOKENS), 0.0
    for sentence in sentences:
        ids, state = [5, *tokenizer.encode(sentence), 5], None
        for position, token in enumerate(ids[1:], 1):
            scores, state = model.lm.score(torch.tensor(ids[:position]), state, None)
            nats -= scores[token].item()
    found = perplexity(model, tokenizer, sentences)
    assert found["nats"] == pytest.approx(nats, rel=1e-4)
    assert found["perplexity"] == pytest.approx(math.exp(nats / found["tokens"]), rel=1e-4)


def test_no_text_is_refused(model):
    with pytest.raises(SecateurError, match="no sentence to take the perplexity of"):
        perplexity(model, Tokenizer(TOKENS), [])
