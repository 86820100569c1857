"""A model whose features are its logits, for tests of searches."""

import itertools

import numpy as np
import torch
from espnet.nets.scorer_interface import BatchScorerInterface

from secateur.decoding.recognize import Recognizer
from secateur.speech.tokens import Tokenizer

TOKENS = ["<blank>", "<unk>", "<space>", "a", "b", "c", "<sos/eos>"]
BLANK, UNKNOWN, SPACE, A, B, C, EOS = range(7)
NEVER = -30.0


class LogitsCTC(torch.nn.Module):
    """A CTC head for an encoder that puts out logits already."""

    def log_softmax(self, hidden):
        return hidden.log_softmax(-1)

    def argmax(self, hidden):
        return hidden.argmax(-1)


class LogitsModel(torch.nn.Module):
    """A model whose features are its logits (T, V)."""

    def __init__(self, tokens, on_encode=lambda: None):
        super().__init__()
        self.encoder, self.ctc, self.decoder = torch.nn.Identity(), LogitsCTC(), None
        self.blank_id, self.sos, self.eos = 0, len(tokens) - 1, len(tokens) - 1
        self.on_encode = on_encode

    def encode(self, speech, lengths):
        self.on_encode()
        return speech, lengths


class BigramScorer(BatchScorerInterface):
    """A language model that is a table of log-probabilities (V, V)."""

    def __init__(self, table, on_score=lambda: None):
        self.table, self.on_score = table, on_score

    def batch_score(self, ys, states, xs):
        self.on_score()
        return self.table[ys[:, -1]], [None] * len(ys)


GREEDY = {"type": "ctc_greedy", "batch": 16, "batch_frames": 2000}
BEAM = {"type": "beam", "beam": 3, "ctc_weight": 0.3, "lm_weight": 0.3, "length_bonus": 0.0}


def recognizer(tokens=TOKENS, **more):
    return Recognizer(LogitsModel(tokens), Tokenizer(tokens), **more)


def one_hot(path, tokens=TOKENS):
    """Logits (T, V) with one nearly certain token per frame."""
    logits = np.full((len(path), len(tokens)), NEVER, np.float32)
    logits[np.arange(len(path)), path] = 0.0
    return logits


def random_features(lengths, bins=20, seed=0):
    generator = np.random.default_rng(seed)
    return {f"u{index}": generator.standard_normal((length, bins), np.float32) for index, length in enumerate(lengths)}


def texts(results):
    return {utterance: result.hypothesis for utterance, result in results.items()}


def collapse(path):
    return tuple(token for token, _ in itertools.groupby(path) if token != BLANK)
