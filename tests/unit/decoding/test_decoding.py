"""Searches against complete enumeration, and times against a clock that the test moves."""

import itertools
import math

import numpy as np
import pytest
import torch
from logits import (
    BEAM,
    BLANK,
    EOS,
    GREEDY,
    NEVER,
    SPACE,
    TOKENS,
    A,
    B,
    BigramScorer,
    C,
    LogitsModel,
    collapse,
    one_hot,
    random_features,
    recognizer,
    texts,
)

from secateur.core.errors import SecateurError
from secateur.decoding import recognize as decoding
from secateur.decoding.recognize import Features, Recognizer, Result, batches, decode, encode, timed
from secateur.models.build import build_model
from secateur.speech.tokens import Tokenizer


def acoustic_config(input_layer="stack", encoder="transformer", **more):
    sizes = {"layers": 2, "dim": 16, "heads": 2, "ffn": 32, "dropout": 0.1, "attention_dropout": 0.0, "kernel": 5}
    return {
        "type": "ctc",
        "features": 20,
        "input": input_layer,
        "stack": 4,
        "encoder": {"type": encoder, **sizes},
        "intermediate_ctc": {"layers": [], "weight": 0.0},
        "stochastic_depth": 0.0,
        "label_smoothing": 0.0,
    } | more


def test_greedy_merges_repetitions_and_drops_blanks():
    path = [BLANK, C, C, A, BLANK, A, SPACE, SPACE, BLANK, B, B, EOS]
    assert decode(recognizer(), {"x": one_hot(path)}, GREEDY)["x"].hypothesis == "caa b"


def test_greedy_ignores_padding_and_keeps_the_order():
    features = {
        "short": one_hot([A, BLANK, B, BLANK, C, BLANK, A]),
        "long": one_hot([C] * 9 + [BLANK] + [B] * 9),
        "middle": one_hot([BLANK] * 8),
    }
    result = texts(decode(recognizer(), features, GREEDY | {"batch": 3}))
    assert list(result.items()) == [("short", "abca"), ("long", "cb"), ("middle", "")]


@pytest.mark.parametrize("encoder", ["transformer", "conformer"])
@pytest.mark.parametrize("input_layer", ["stack", "conv2d"])
@pytest.mark.parametrize("intermediate", [[], [1]])
def test_an_utterance_does_not_depend_on_its_batch(encoder, input_layer, intermediate):
    torch.manual_seed(1)
    config = acoustic_config(input_layer, encoder, intermediate_ctc={"layers": intermediate, "weight": 0.3})
    model = build_model(config, TOKENS).eval()
    lengths = [61, 7, 48, 33, 62, 34, 35, 36]
    features = random_features(lengths)
    speech = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(matrix) for matrix in features.values()], True)
    with torch.inference_mode():
        together, together_lengths = encode(model, speech, torch.tensor(lengths))
        for index, length in enumerate(lengths):
            alone, alone_lengths = encode(model, speech[index : index + 1, :length], torch.tensor([length]))
            assert alone_lengths[0] == together_lengths[index] == alone.shape[1]
            torch.testing.assert_close(together[index, : alone.shape[1]], alone[0], atol=1e-5, rtol=1e-4)
    whole = Recognizer(model, Tokenizer(TOKENS))
    assert texts(decode(whole, features, GREEDY | {"batch": 1})) == texts(
        decode(whole, features, GREEDY | {"batch": 5})
    )


def ctc_totals(log_probabilities):
    """Log-probability of every label sequence, summed over all paths of (T, V)."""
    frames, size = log_probabilities.shape
    totals = {}
    for path in itertools.product(range(size), repeat=frames):
        score = sum(log_probabilities[frame, token] for frame, token in enumerate(path))
        if score > NEVER:
            labels = collapse(path)
            totals[labels] = np.logaddexp(totals.get(labels, -math.inf), score)
    return totals


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("with_lm", [False, True])
def test_a_wide_beam_finds_the_best_labelling_of_all(seed, with_lm):
    # Three live tokens and many dead ones, so that the beam can be wider than the number of prefixes.
    tokens = ["<blank>", "<unk>", "a", "b", "c", *(f"dead{index}" for index in range(94)), "<sos/eos>"]
    generator = torch.Generator().manual_seed(seed)
    logits = torch.full((7, 100), NEVER)
    live = [0, 2, 3, 4]
    logits[:, live] = torch.randn(7, 4, generator=generator)
    logits[4:, 0] = 40.0  # the last frames are blank: four remain to enumerate
    table = torch.randn(100, 100, generator=generator).log_softmax(-1)
    lm = BigramScorer(table) if with_lm else None

    def total(labels, acoustic):
        sequence = [99, *labels, 99]
        fusion = sum(float(table[left, right]) for left, right in itertools.pairwise(sequence))
        return acoustic + (0.7 * fusion if with_lm else 0.0) + 0.4 * (len(labels) + 1)

    log_probabilities = logits.log_softmax(-1)[:4, live].numpy().astype(float)
    scores = {
        labels: total([live[label] for label in labels], acoustic)
        for labels, acoustic in ctc_totals(log_probabilities).items()
    }
    expected = "".join("_abc"[label] for label in max(scores, key=scores.get))
    search = BEAM | {"beam": 99, "lm_weight": 0.7, "length_bonus": 0.4, "lm": "bigram" if with_lm else None}
    result = decode(recognizer(tokens, lm=lm), {"x": logits.numpy()}, search)
    assert result["x"].hypothesis == expected


def test_the_lm_does_not_choose_which_tokens_a_ctc_model_may_consider():
    # The LM prefers every other token by far; with ESPnet's pre-beam the right one would never be scored by CTC.
    table = torch.full((7, 7), -5.0)
    table[:, A] = -20.0
    features = {"x": one_hot([A, BLANK, A, BLANK, A, BLANK, BLANK])}
    search = BEAM | {"beam": 2, "lm": "bigram"}
    assert decode(recognizer(lm=BigramScorer(table)), features, search)["x"].hypothesis == "aaa"


def test_the_lm_decides_where_the_sound_does_not():
    logits = one_hot([A, BLANK, B, BLANK, BLANK, BLANK, BLANK])
    logits[2, C] = 0.1
    table = torch.full((7, 7), -2.0)
    table[A, B] = -0.1
    search = BEAM | {"lm_weight": 0.5}
    assert decode(recognizer(), {"x": logits}, search)["x"].hypothesis == "ac"
    with_lm = recognizer(lm=BigramScorer(table))
    assert decode(with_lm, {"x": logits}, search | {"lm": "bigram"})["x"].hypothesis == "ab"


def test_beam_times_are_split_into_encoder_search_and_lm(clock):
    calls = {"encode": 0, "lm": 0}

    def encoding():
        calls["encode"] += 1
        clock.advance(10.0)

    def scoring():
        calls["lm"] += 1
        clock.advance(1.0)

    model = LogitsModel(TOKENS, encoding)
    model.ctc.log_softmax = lambda hidden: clock.advance(100.0) or hidden.log_softmax(-1)
    lm = BigramScorer(torch.zeros(7, 7), scoring)
    whole = Recognizer(model, Tokenizer(TOKENS), lm=lm)
    features = {"x": one_hot([A, BLANK, B, BLANK, BLANK, BLANK, BLANK])}
    result = decode(whole, features, BEAM | {"lm": "bigram"})["x"]
    # The first utterance is decoded twice and timed once.
    assert calls["encode"] == 2
    assert calls["lm"] >= 6
    assert result == Result("ab", encoder_s=10.0, search_s=100.0, lm_s=calls["lm"] / 2)


def test_greedy_shares_the_time_of_a_batch_by_frames(clock):
    whole = Recognizer(LogitsModel(TOKENS, lambda: clock.advance(6.0)), Tokenizer(TOKENS))
    features = {"x": one_hot([A] * 10), "y": one_hot([B] * 20)}
    result = decode(whole, features, GREEDY | {"batch": 2})
    assert (result["x"].encoder_s, result["y"].encoder_s) == pytest.approx((2.0, 4.0))
    assert (result["x"].search_s, result["x"].lm_s) == (0.0, 0.0)


def test_batch_size_is_that_of_the_search():
    assert decoding.batch_size(GREEDY | {"batch": 3}) == 3
    assert decoding.batch_size(BEAM) == 1


def test_a_batch_is_bounded_in_number_and_in_frames():
    lengths = {"a": 10, "b": 9, "c": 50, "d": 8, "e": 8, "f": 101}
    assert batches(lengths, 9, 100) == [["f"], ["c", "a"], ["b", "d", "e"]]
    assert batches(lengths, 2, 100) == [["f"], ["c", "a"], ["b", "d"], ["e"]]
    # Padding counts: beside c, a takes 50 frames as well.
    assert batches(lengths, 9, 99) == [["f"], ["c"], ["a", "b", "d", "e"]]
    assert batches(lengths, 9, 19) == [["f"], ["c"], ["a"], ["b", "d"], ["e"]]
    assert batches(lengths, 1, 10_000) == [["f"], ["c"], ["a"], ["b"], ["d"], ["e"]]


class Archive(dict):
    """Matrices that note when they are read."""

    def __init__(self, matrices):
        super().__init__(matrices)
        self.read = []

    def __getitem__(self, name):
        self.read.append(name)
        return super().__getitem__(name)


def test_features_are_read_a_batch_at_a_time_and_the_largest_batch_warms_up():
    lengths = {"tiny": 10, "long": 60, "short": 20, "small": 15, "unwanted": 12}
    archive = Archive({name: one_hot([A] * length) for name, length in lengths.items()})
    del lengths["unwanted"]
    shapes, read = [], []
    whole = recognizer()
    encode_as_before = whole.model.encode

    def encoding(speech, frames):
        shapes.append(tuple(speech.shape[:2]))
        read.append(list(archive.read))
        return encode_as_before(speech, frames)

    whole.model.encode = encoding
    result = decode(whole, Features(archive, lengths), GREEDY | {"batch_frames": 60})
    assert texts(result) == {name: "a" for name in lengths} and list(result) == list(lengths)
    assert shapes == [(3, 20), (1, 60), (3, 20)]
    assert read[:2] == [["short", "small", "tiny"], ["short", "small", "tiny", "long"]]
    assert archive.read == ["short", "small", "tiny", "long", "short", "small", "tiny"]


def test_nothing_to_decode():
    assert decode(recognizer(), {}, GREEDY) == {}


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"type": "viterbi"}, "'viterbi' is unknown; it must be one of beam, ctc_greedy, generate, lexicon"),
        ({}, "type None is unknown"),
        (GREEDY | {"beam": 3}, "unknown key 'beam'; it may have batch, batch_frames"),
        ({"type": "ctc_greedy", "batch": 3}, "search ctc_greedy: batch_frames missing; it needs batch, batch_frames"),
        ({"type": "beam", "beam": 2}, "beam: ctc_weight, lm_weight, length_bonus missing"),
        (BEAM | {"maxlenratio": 0.5}, "unknown key 'maxlenratio'"),
        (BEAM | {"lm": "big"}, "lm is 'big' but no language model was given"),
        (BEAM | {"beam": 7}, "beam is 7; it must be from 1 to 6"),
        (BEAM | {"beam": 0}, "beam is 0; it must be from 1 to 6"),
    ],
)
def test_wrong_searches_are_named(search, message):
    with pytest.raises(SecateurError, match=message):
        decode(recognizer(), {"x": one_hot([A] * 7)}, search)


def test_an_lm_that_the_search_does_not_name_is_refused():
    with pytest.raises(SecateurError, match="lm is None but one was given"):
        decode(recognizer(lm=BigramScorer(torch.zeros(7, 7))), {"x": one_hot([A] * 7)}, BEAM)


def test_an_utterance_that_is_too_short_is_named_before_any_is_decoded():
    whole = Recognizer(LogitsModel(TOKENS, on_encode=lambda: pytest.fail("decoded")), Tokenizer(TOKENS))
    with pytest.raises(SecateurError, match="'x' has 3 frames, fewer than 7"):
        decode(whole, {"long": one_hot([A] * 9), "x": one_hot([A] * 3)}, GREEDY)


def test_utterances_are_timed_one_by_one_with_what_was_prepared_once():
    """The model is asked for one utterance at a time, whatever the batch of the search, and gives seconds by part."""
    seen = []
    whole = Recognizer(LogitsModel(TOKENS, on_encode=lambda: seen.append("encode")), Tokenizer(TOKENS))
    features = Features({"u": one_hot([A] * 9), "v": one_hot([B] * 8)})
    seconds = timed(whole, GREEDY, features)
    assert seen == []
    for utterance in ("v", "u", "v"):
        found = seconds(utterance)
        assert found.keys() == {"encoder_s", "search_s", "lm_s"} and found["encoder_s"] > 0 and found["lm_s"] == 0
    assert seen == ["encode"] * 3
    with pytest.raises(SecateurError, match="'x' has 3 frames"):
        timed(whole, GREEDY, Features({"x": one_hot([A] * 3)}))
