"""ONNX files compute what torch does, for whole and smaller models, whatever the number and length of utterances."""

import copy

import numpy as np
import onnxruntime
import pytest
import torch
from tiny import CTC, TOKENS, with_encoder

from secateur.core.errors import SecateurError
from secateur.decoding import onnx
from secateur.decoding.onnx import export_onnx
from secateur.decoding.recognize import encode
from secateur.models.build import build_model
from secateur.models.surgery.heads import Head, heads, remove_heads
from secateur.models.surgery.layers import keep_layers

CONFORMER = with_encoder(CTC, type="conformer") | {"input": "conv2d"}
REMOVED = [Head("encoder-self", 1, 2), Head("encoder-self", 3, 1), Head("encoder-self", 3, 2)]


def model(config):
    torch.manual_seed(1)
    built = build_model(config, TOKENS).eval()
    with torch.no_grad():
        built.ctc.ctc_lo.weight *= 10  # else all frames are alike
    return built


@pytest.mark.parametrize("config", [CTC, CONFORMER], ids=["transformer", "conformer"])
@pytest.mark.parametrize("smaller", ["whole", "heads", "layers", "no heads"])
def test_onnx_runtime_gives_what_torch_gives(tmp_path, config, smaller):
    built = model(config)
    if smaller == "heads":
        remove_heads(built, REMOVED)
    elif smaller == "layers":
        keep_layers(built, [1, 3])
    elif smaller == "no heads":
        remove_heads(built, heads(built))
    assert export_onnx(built, 20, tmp_path / "model.onnx") < 1e-4

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    for lengths in ([20], [333], [45, 90, 31, 90], [700, 10]):
        speech = generator.standard_normal((len(lengths), max(lengths), 20), np.float32)
        found, frames = session.run(None, {"speech": speech, "speech_lengths": np.array(lengths)})
        with torch.no_grad():
            encoder_out, expected_frames = encode(built, torch.from_numpy(speech), torch.tensor(lengths))
            expected = built.ctc.log_softmax(encoder_out).numpy()
        assert frames.tolist() == expected_frames.tolist()
        for one, other, length in zip(found, expected, frames, strict=True):
            np.testing.assert_allclose(one[:length], other[:length], atol=1e-4)
        assert found.std() > 0.1


def test_the_file_shrinks_with_the_model(tmp_path):
    whole, small = model(CTC), model(CTC)
    remove_heads(small, REMOVED)
    export_onnx(whole, 20, tmp_path / "whole.onnx")
    export_onnx(small, 20, tmp_path / "small.onnx")
    removed = sum(p.numel() for p in whole.parameters()) - sum(p.numel() for p in small.parameters())
    saved = (tmp_path / "whole.onnx").stat().st_size - (tmp_path / "small.onnx").stat().st_size
    assert saved >= 4 * removed > 0


def test_a_file_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    built, other = model(CTC), model(CTC)
    with torch.no_grad():
        other.encoder.encoders[1].feed_forward.w_1.weight *= 1.1
    traced = torch.onnx.export
    wrong = onnx._EncoderAndHead(copy.deepcopy(other))
    monkeypatch.setattr(torch.onnx, "export", lambda module, *rest, **options: traced(wrong, *rest, **options))
    with pytest.raises(SecateurError, match=r"log-probabilities are off torch's by \d"):
        export_onnx(built, 20, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_refused(tmp_path):
    built = model(CTC)
    built.ctc = None
    with pytest.raises(SecateurError, match="has none"):
        export_onnx(built, 20, tmp_path / "model.onnx")
