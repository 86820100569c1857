"""The transducer searches as `decode` runs them: batches, streaming, language model, times."""

import numpy as np
import pytest
import torch
from tiny import ENCODER

from secateur.core.errors import SecateurError
from secateur.decoding.recognize import Recognizer, decode
from secateur.models.build import build_model
from secateur.speech.tokens import Tokenizer

TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefgh", "<sos/eos>"]
STREAMING = {"segment": 4, "left_context": 8, "right_context": 2, "memory": 2, "positions": True, "convolution": 3}
CONFIG = {
    "type": "rnnt",
    "features": 20,
    "input": "stack",
    "stack": 4,
    "encoder": ENCODER | {"type": "emformer", "layers": 2} | STREAMING,
    "stochastic_depth": 0.0,
    "predictor": {"embedding": 8, "dim": 16, "layers": 1, "dropout": 0.0},
    "joiner": {"dim": 16},
    "ctc_weight": 0.0,
}
GREEDY = {"type": "transducer_greedy", "batch": 16, "batch_frames": 2000, "max_symbols": 10, "streaming": False}
BEAM = {
    "type": "transducer_beam",
    "beam": 3,
    "max_symbols": 3,
    "lm_weight": 0.5,
    "length_bonus": 0.0,
    "streaming": False,
}
LM = {"type": "transformer_lm", "embedding": 8, "dim": 16, "heads": 2, "layers": 1, "ffn": 32, "dropout": 0.1}


def recognizer(with_lm=False, **more):
    torch.manual_seed(2)
    model = build_model(CONFIG | more, TOKENS).eval()
    with torch.no_grad():
        for linear in (model.joiner.encoder, model.joiner.predictor, model.joiner.output):
            linear.weight *= 4
    lm = build_model(LM, TOKENS).eval().lm if with_lm else None
    return Recognizer(model, Tokenizer(TOKENS), lm=lm)


def features():
    generator = np.random.default_rng(0)
    return {f"u{length}": generator.standard_normal((length, 20), np.float32) for length in (41, 7, 120, 96, 64)}


def texts(results):
    return {utterance: result.hypothesis for utterance, result in results.items()}


def test_greedy_depends_neither_on_the_batch_nor_on_streaming():
    expected = texts(decode(recognizer(), features(), GREEDY | {"batch": 1}))
    assert list(expected) == list(features())
    assert len(set(expected.values())) == 5
    for options in ({"batch": 3}, {"batch": 5}, {"streaming": True}):
        assert texts(decode(recognizer(), features(), GREEDY | options)) == expected


@pytest.mark.parametrize("with_lm", [False, True])
def test_beam_does_not_depend_on_streaming(with_lm):
    search = BEAM | {"lm": "lm" if with_lm else None}
    whole = decode(recognizer(with_lm), features(), search)
    parts = decode(recognizer(with_lm), features(), search | {"streaming": True})
    assert texts(parts) == texts(whole)
    for results in (whole, parts):
        for result in results.values():
            assert result.encoder_s > 0
            assert result.search_s > 0
            assert (result.lm_s > 0) == with_lm
    if with_lm:
        assert texts(whole) != texts(decode(recognizer(), features(), search | {"lm": None}))


def test_streaming_needs_an_encoder_that_streams():
    other = recognizer(encoder=ENCODER | {"type": "transformer"})
    assert decode(other, features(), GREEDY)
    with pytest.raises(SecateurError, match="TransformerEncoder, hears whole utterances"):
        decode(other, features(), GREEDY | {"streaming": True})


def test_a_search_must_fit_the_model():
    with pytest.raises(SecateurError, match="search ctc_greedy: the model has no CTC head"):
        decode(recognizer(), features(), {"type": "ctc_greedy", "batch": 16, "batch_frames": 2000})
    ctc = build_model(
        {"type": "ctc", "intermediate_ctc": {"layers": [], "weight": 0.0}}
        | {key: CONFIG[key] for key in ("features", "input", "stack", "stochastic_depth")}
        | {"encoder": ENCODER | {"type": "transformer"}},
        TOKENS,
    ).eval()
    with pytest.raises(SecateurError, match="search transducer_beam: the model has no joiner"):
        decode(Recognizer(ctc, Tokenizer(TOKENS)), features(), BEAM)
