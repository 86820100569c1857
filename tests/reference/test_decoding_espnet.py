"""Our searches against ESPnet's search without batches, called the way ESPnet's own inference calls it."""

import numpy as np
import pytest
import torch
from espnet.nets.beam_search import BeamSearch
from espnet.nets.scorers.ctc import CTCPrefixScorer
from espnet.nets.scorers.length_bonus import LengthBonus
from tiny import ENCODER, LM

from secateur.decoding.recognize import Recognizer, decode
from secateur.models.build import build_model
from secateur.speech.tokens import Tokenizer

TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefgh", "<sos/eos>"]
CONFIG = {
    "features": 20,
    "input": "stack",
    "stack": 4,
    "encoder": ENCODER | {"type": "conformer", "layers": 2},
    "intermediate_ctc": {"layers": [1], "weight": 0.3},
    "stochastic_depth": 0.0,
    "decoder": {"layers": 1, "heads": 2, "ffn": 32, "dropout": 0.1},
    "ctc_weight": 0.3,
    "label_smoothing": 0.1,
}


def sharpened(layer, factor):
    """Make a random output layer decided, so that hypotheses differ in score by more than rounding."""
    with torch.no_grad():
        layer.weight *= factor


def espnet_hypothesis(model, lm, matrix, tokenizer, beam, ctc_weight, lm_weight, length_bonus):
    search = BeamSearch(
        scorers={
            "decoder": model.decoder,
            "ctc": CTCPrefixScorer(model.ctc, model.eos),
            "lm": lm,
            "length_bonus": LengthBonus(len(TOKENS)),
        },
        weights={"decoder": 1 - ctc_weight, "ctc": ctc_weight, "lm": lm_weight, "length_bonus": length_bonus},
        beam_size=beam,
        vocab_size=len(TOKENS),
        sos=model.sos,
        eos=model.eos,
    )
    (encoder_out, _), _ = model.encode(torch.from_numpy(matrix)[None], torch.tensor([len(matrix)]))
    return tokenizer.decode(search(encoder_out[0])[0].yseq.tolist())


@pytest.mark.parametrize("kind", ["ctc", "hybrid"])
@pytest.mark.parametrize("with_lm", [False, True])
@pytest.mark.parametrize("length_bonus", [0.0, 1.0])
@torch.inference_mode()
def test_beam_agrees_with_the_search_without_batches(kind, with_lm, length_bonus):
    torch.manual_seed(3)
    model = build_model(CONFIG | {"type": kind}, TOKENS).eval()
    sharpened(model.ctc.ctc_lo, 8)
    lm = build_model(LM, TOKENS).eval().lm if with_lm else None
    if lm:
        sharpened(lm.decoder, 8)
    if kind == "hybrid":
        sharpened(model.decoder.output_layer, 4)
    generator = np.random.default_rng(0)
    features = {f"u{length}": 2 * generator.standard_normal((length, 20), np.float32) for length in (41, 60, 77)}
    tokenizer = Tokenizer(TOKENS)
    # With 12 tokens, a beam of 8 leaves no room for ESPnet's pre-beam, in which the two searches differ by design.
    search = {"type": "beam", "beam": 8, "ctc_weight": 0.4, "lm_weight": 0.5, "length_bonus": length_bonus}
    ours = decode(Recognizer(model, tokenizer, lm=lm), features, search | {"lm": "lm" if with_lm else None})
    weight = 0.4 if kind == "hybrid" else 1.0
    for utterance, matrix in features.items():
        expected = espnet_hypothesis(model, lm, matrix, tokenizer, 8, weight, 0.5, length_bonus)
        assert ours[utterance].hypothesis == expected
    assert any(result.hypothesis for result in ours.values())
    assert all((result.lm_s > 0) == with_lm for result in ours.values())
