"""The lexicon search against complete enumeration, with letters and with word pieces."""

import itertools
import math

import numpy as np
import pytest
import torch
from logits import (
    BLANK,
    GREEDY,
    NEVER,
    SPACE,
    TOKENS,
    A,
    B,
    C,
    LogitsModel,
    collapse,
    one_hot,
    random_features,
    recognizer,
    texts,
)

from secateur.core.errors import SecateurError
from secateur.decoding.recognize import Recognizer, decode
from secateur.speech.ngram import END, Ngram
from secateur.speech.tokens import Tokenizer


@pytest.fixture
def flashlight():
    """Flashlight's searches, where there is a build of them (not for Python 3.13)."""
    return pytest.importorskip("flashlight.lib.text.decoder")


WORDS = ["a b", "ab c", "ab ab", "c"]


def lexicon_search(**more):
    return {"type": "lexicon", "beam": 500, "lm_weight": 0.8, "word_score": 0.3, "order": 2} | more


def test_lexicon_search_finds_an_obvious_path_with_a_repeated_last_letter(flashlight):
    features = {"x": one_hot([A, B, B, SPACE, C, C, C])}
    assert decode(recognizer(sentences=WORDS), features, lexicon_search())["x"].hypothesis == "ab c"


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("lm_weight", "word_score"), [(0.8, 0.0), (2.0, 1.5), (0.5, -2.0)])
def test_lexicon_search_agrees_with_the_best_of_all_paths(seed, lm_weight, word_score, flashlight):
    generator = np.random.default_rng(seed)
    live = [BLANK, SPACE, A, B, C]
    logits = np.full((7, 7), NEVER, np.float32)
    logits[:, live] = generator.standard_normal((7, 5))
    logits[5:] = one_hot([BLANK, BLANK])  # five frames remain to enumerate
    log_probabilities = torch.from_numpy(logits).log_softmax(-1).tolist()
    ngram = Ngram.estimate(WORDS, 2)
    known = set(" ".join(WORDS).split())
    scores = {}
    for path in itertools.product(live, repeat=5):
        text = "".join(TOKENS[token] if token != SPACE else " " for token in collapse(path))
        words = text.split()
        if known.issuperset(words):
            acoustic = sum(frame[token] for frame, token in zip(log_probabilities, path, strict=False))
            chain = ["<s>", *words, END]
            fusion = sum(ngram.log_probability(right, [left]) for left, right in itertools.pairwise(chain))
            score = acoustic + lm_weight * fusion + word_score * len(words)
            scores[" ".join(words)] = max(score, scores.get(" ".join(words), -math.inf))
    search = lexicon_search(lm_weight=lm_weight, word_score=word_score)
    result = decode(recognizer(sentences=WORDS), {"x": logits}, search)
    assert result["x"].hypothesis == max(scores, key=scores.get)


def test_lexicon_search_returns_only_words_of_the_text(flashlight):
    features = random_features([30] * 10, bins=7)
    result = texts(decode(recognizer(sentences=WORDS), features, lexicon_search()))
    assert {word for text in result.values() for word in text.split()} <= {"a", "b", "ab", "c"}
    assert any(result.values())


def test_lexicon_search_uses_the_ngram(flashlight):
    logits = one_hot([A, B, SPACE, C, BLANK, BLANK, BLANK])
    logits[3, A] = 0.1
    search = lexicon_search(word_score=0.0)
    greedy = decode(recognizer(), {"x": logits}, GREEDY)
    assert greedy["x"].hypothesis == "ab a"
    assert decode(recognizer(sentences=WORDS), {"x": logits}, search)["x"].hypothesis == "ab c"
    assert decode(recognizer(sentences=WORDS), {"x": logits}, search | {"lm_weight": 0.0})["x"].hypothesis == "ab a"


def test_lexicon_search_times_the_ngram(clock, monkeypatch, flashlight):
    original = Ngram.log_probability
    calls = []

    def slow(self, word, context):
        calls.append(word)
        clock.advance(1.0)
        return original(self, word, context)

    features = {"x": one_hot([A, B, SPACE, C, BLANK, BLANK, BLANK])}
    whole = recognizer(sentences=WORDS)
    monkeypatch.setattr(Ngram, "log_probability", slow)
    result = decode(whole, features, lexicon_search())["x"]
    # Four words are scored while the trie is built; what remains is two equal decodings.
    assert result.lm_s == (len(calls) - 4) / 2 > 0
    assert result.search_s == 0.0


class WordPieces:
    """A stand-in for SentencePiece with one spelling per word."""

    def encode(self, text, out_type):
        return {"ab": ["▁a", "b"], "a": ["▁a"], "ca": ["▁c", "a"]}[text]


PIECES = ["<blank>", "<unk>", "▁a", "b", "▁c", "a", "<sos/eos>"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([2, 3, 3, 3, 0, 2, 0], "ab a"),  # the last piece of a word lasts
        ([2, 3, 4, 5, 2, 0, 0], "ab ca a"),  # no blank between words
        ([0, 0, 2, 0, 2, 3, 3], "a ab"),
        ([0] * 7, ""),
    ],
)
def test_lexicon_search_with_word_pieces(path, expected, flashlight):
    whole = Recognizer(LogitsModel(PIECES), Tokenizer(PIECES, WordPieces()), sentences=["ab a", "ca a ab"])
    result = decode(whole, {"x": one_hot(path, PIECES)}, lexicon_search(word_score=0.0))
    assert result["x"].hypothesis == expected


def test_lexicon_search_wants_a_text(flashlight):
    with pytest.raises(SecateurError, match="no training text"):
        decode(recognizer(), {"x": one_hot([A] * 7)}, lexicon_search())
