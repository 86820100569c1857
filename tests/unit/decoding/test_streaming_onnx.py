"""Streaming transducers in ONNX Runtime: the same outputs and labels as torch, piece by piece, whole and pruned."""

import numpy as np
import pytest
import soundfile
import torch
from small_models import CONFORMER, EMFORMER, make_model
from tiny import TOKENS, run_script, with_encoder

from secateur.core.errors import SecateurError
from secateur.decoding.onnx import KINDS
from secateur.decoding.recognize import encode
from secateur.decoding.streaming import StreamingTransducer
from secateur.decoding.streaming_export import export_stream
from secateur.decoding.transducer import Greedy
from secateur.models.checkpoint import save_model
from secateur.models.surgery.heads import Head, remove_heads
from secateur.models.surgery.layers import keep_layers
from secateur.speech.features import log_mel
from secateur.speech.online_features import OnlineLogMel

BARE = with_encoder(EMFORMER, memory=0, convolution=0, positions=False)
REMOVED = [Head("encoder-self", 1, number) for number in (1, 2, 3)] + [Head("encoder-self", 2, 2)]


def smaller(model, what):
    if what == "heads":  # all of layer 1, one of layer 2
        remove_heads(model, REMOVED)
    if what == "layers":
        keep_layers(model, [1, 3])
    return model


def offline(model, speech):
    """Encoder output (T', D) and labels of whole features (T, F)."""
    with torch.inference_mode():
        output, lengths = encode(model, speech[None], torch.tensor([len(speech)]))
        search = Greedy(model)
        search.advance(output, lengths)
    return output[0], search.labels[0]


@pytest.mark.parametrize(
    ("config", "what"), [(EMFORMER, "whole"), (EMFORMER, "heads"), (EMFORMER, "layers"), (BARE, "whole")]
)
def test_pieces_of_any_size_give_what_the_whole_utterance_gives(tmp_path, config, what):
    model = smaller(make_model(config), what)
    assert export_stream(model, 20, TOKENS, tmp_path) <= 1e-4
    runtime = StreamingTransducer(tmp_path, keep=True)
    generator = torch.Generator().manual_seed(3)
    for frames, piece in ((200, 7), (61, 61), (90, 1), (8, 3)):
        speech = torch.randn(frames, 20, generator=generator)
        expected, labels = offline(model, speech)
        runtime.begin()
        said, kept = [], []
        for place in range(0, frames, piece):
            said += runtime.accept(speech[place : place + piece].numpy())
            kept.append(runtime.cache_bytes)
        said += runtime.finish()
        np.testing.assert_allclose(np.concatenate(runtime.outputs), expected.numpy(), rtol=0, atol=1e-4)
        assert said == runtime.labels == labels
        bound = runtime.about["chunk"] + piece
        assert max(kept) - min(kept) <= 4 * 20 * bound  # the frames that wait; caches never grow
    assert labels


def test_labels_come_before_the_end_and_are_spelled(tmp_path):
    model = make_model(EMFORMER)
    export_stream(model, 20, TOKENS, tmp_path)
    runtime = StreamingTransducer(tmp_path)
    speech = torch.randn(200, 20, generator=torch.Generator().manual_seed(3)).numpy()
    first = next(place for place in range(200) if runtime.accept(speech[place : place + 1]))
    assert first + 1 >= runtime.about["chunk"] and first < 150
    assert runtime.text([2, 3, 2, 4, 5]) == "a bc"  # <space> a <space> b c
    assert runtime.about["algorithmic_latency"] == pytest.approx(model.algorithmic_latency)


def test_int8_computes_about_the_same_in_fewer_bytes(tmp_path):
    config = with_encoder(EMFORMER, dim=48, ffn=192) | {"features": 20}
    model = make_model(config)
    save_model(tmp_path / "model", model, config, TOKENS)
    speech = torch.randn(200, 20, generator=torch.Generator().manual_seed(3))
    exported, outputs = {}, {}
    for kind in KINDS:
        folder = tmp_path / kind
        exported[kind] = run_script(
            *("export_stream", "--model", tmp_path / "model", "--format", kind, "--output", folder)
        )
        assert exported[kind]["bytes"] == sum(file.stat().st_size for file in folder.glob("*.onnx"))
        runtime = StreamingTransducer(folder, keep=True)
        runtime.accept(speech.numpy())
        runtime.finish()
        outputs[kind] = np.concatenate(runtime.outputs)
    plain, rounded = (outputs[kind] for kind in KINDS)
    np.testing.assert_allclose(plain, offline(model, speech)[0].numpy(), rtol=0, atol=1e-4)
    assert exported["int8"]["difference"] == exported["float32"]["difference"] < 1e-4, "what is rounded was checked"
    assert 1e-3 < np.abs(rounded - plain).max() < 0.2 * np.abs(plain).max()
    assert exported["int8"]["bytes"] < 0.8 * exported["float32"]["bytes"]


def test_what_does_not_stream_is_refused(tmp_path):
    with pytest.raises(SecateurError, match="ESPnetASRModel with ConformerEncoder: only a transducer with an emformer"):
        export_stream(make_model(CONFORMER), 20, TOKENS, tmp_path)


def test_a_wav_file_is_transcribed_piece_by_piece(tmp_path, capsys):
    """As its features at once would be, by the very commands."""
    config = EMFORMER | {"features": 80}
    model = make_model(config)
    save_model(tmp_path / "model", model, config, TOKENS)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 24001).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", samples, 16000, subtype="FLOAT")
    exported = run_script("export_stream", "--model", tmp_path / "model", "--output", tmp_path / "stream")
    assert exported["difference"] < 1e-4
    found = run_script(
        *("transcribe_stream", "--stream", tmp_path / "stream", "--wav", tmp_path / "noise.wav", "--milliseconds", 70)
    )
    _, labels = offline(model, torch.from_numpy(log_mel(samples)))
    runtime = StreamingTransducer(tmp_path / "stream")
    assert found["text"] == runtime.text(labels) and labels
    printed = capsys.readouterr().out
    assert f"end    {found['text']}" in printed and "bytes kept between pieces" in printed
    assert found["first_s"] > 0 and found["audio_s"] == pytest.approx(1.5, abs=0.001)


def test_features_of_pieces_are_those_of_the_whole():
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 16000).astype(np.float32)
    online = OnlineLogMel(80)
    found = [online.accept(samples[place : place + 777]) for place in range(0, 16000, 777)]
    np.testing.assert_array_equal(np.concatenate([*found, online.finish()]), log_mel(samples))
    assert len(found[0]) == 1 + (777 - 400) // 160
