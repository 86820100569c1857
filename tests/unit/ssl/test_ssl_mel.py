"""Encoders that read log-mel energies: the front end, and everything that is done with encoders of waveforms."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from secateur.core.errors import SecateurError
from secateur.models.upstream.config import MEL, EncoderConfig
from secateur.models.upstream.encoder import Encoder
from secateur.models.upstream.mel import OFFSET, SCALE
from secateur.speech.features import log_mel
from secateur.ssl import study as upstreams
from secateur.ssl.channels import ChannelGates
from secateur.ssl.checkpoints import load_upstream, save_encoder
from secateur.ssl.checks import _encoder
from secateur.ssl.distillation import Distillation, LayerPairs
from secateur.ssl.export import export_encoder
from secateur.ssl.gated import compact, fold, open_gates
from secateur.ssl.speed import macs_per_second, scaled


@pytest.fixture
def mel(tiny):
    return replace(tiny, front_end=MEL, mel_bins=20)


@pytest.fixture
def encoder(mel):
    torch.manual_seed(0)
    return Encoder(mel).eval()


@pytest.fixture
def pruned(encoder):
    gates = {kind: value.clone() for kind, value in open_gates(encoder.config).items()}
    gates["mha"][1] = 0.0
    gates["qk"][0, 0, :2] = gates["vo"][2, 0, 1:] = 0.0
    gates["int"][0, ::2] = 0.0
    return compact(encoder, gates)


@pytest.mark.parametrize("stack", [1, 2, 3])
@pytest.mark.parametrize("bins", [20, 80])
def test_the_frames_are_kaldis_energies_side_by_side(tiny, noise, bins, stack):
    config = replace(tiny, front_end=MEL, mel_bins=bins, mel_stack=stack)
    for samples in (config.receptive_field, 8000, 8079, 9999):
        wave = noise(samples / 16000, samples)
        energies = log_mel(wave, bins)
        frames = len(energies) // stack
        wanted = (energies[: frames * stack].reshape(frames, stack * bins) - OFFSET) / SCALE
        found, count = Encoder(config).features(torch.from_numpy(wave)[None], torch.tensor([samples]))
        assert count.tolist() == [frames] == [len(found[0])]
        np.testing.assert_allclose(found[0].numpy(), wanted, rtol=0, atol=2e-3)
    assert (config.hop, config.frames(config.receptive_field - 1)) == (160 * stack, 0)
    assert upstreams.hop({"front_end": MEL, "mel_stack": stack}) == config.hop


def test_silence_is_the_floor_and_half_precision_does_not_reach_it(encoder):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features, _ = encoder.features(torch.zeros(1, 4000), torch.tensor([4000]))
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, torch.full_like(features, (-23 * np.log(2) - OFFSET) / SCALE))


@torch.no_grad()
def test_padding_changes_nothing(encoder, noise):
    waves = [torch.from_numpy(noise(seconds, 3)) for seconds in (0.5, 0.31)]
    hidden, frames = encoder(torch.nn.utils.rnn.pad_sequence(waves, batch_first=True), torch.tensor([8000, 4960]))
    for row, wave in enumerate(waves):
        alone, count = encoder(wave[None], torch.tensor([len(wave)]))
        assert count[0] == frames[row]
        for state, want in zip(hidden, alone, strict=True):
            torch.testing.assert_close(state[row, : count[0]], want[0], rtol=1e-4, atol=1e-4)


def test_a_checkpoint_says_what_its_front_end_is_and_loads_by_that(encoder, pruned, tmp_path, noise):
    for place, model in enumerate((encoder, pruned)):
        save_encoder(tmp_path / str(place), model)
        loaded = load_upstream(tmp_path / str(place))
        assert loaded.config == model.config and loaded.config.front_end == MEL and loaded.config.mel_bins == 20
        wave = torch.from_numpy(noise(0.4, 1))[None]
        for mine, theirs in zip(
            model(wave, torch.tensor([6400]))[0], loaded(wave, torch.tensor([6400]))[0], strict=True
        ):
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize("which", ["encoder", "pruned"])
def test_onnx_runtime_gives_what_torch_gives(which, tmp_path, request, noise):
    model = request.getfixturevalue(which)
    assert export_encoder(model, tmp_path / "model.onnx") < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    wave = noise(0.7, 4)
    found, frames = session.run(None, {"waveforms": wave[None], "lengths": np.array([len(wave)])})
    hidden, count = model(torch.from_numpy(wave)[None], torch.tensor([len(wave)]))
    assert frames.tolist() == count.tolist()
    np.testing.assert_allclose(found, torch.stack(hidden, 2).detach().numpy(), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_the_compacted_encoder_computes_what_the_gated_one_does(encoder, pruned, noise):
    gates = open_gates(encoder.config) | {"int": torch.rand(3, 20).round()}
    wave = torch.from_numpy(noise(0.4, 1))[None]
    features, frames = encoder.features(wave, torch.tensor([6400]))
    wanted = encoder.contextualize(features, frames, weights=fold(encoder, gates))
    for state, want in zip(compact(encoder, gates)(wave, torch.tensor([6400]))[0], wanted, strict=True):
        torch.testing.assert_close(state, want, rtol=1e-4, atol=1e-4)


def test_student_and_teacher_share_what_nothing_trains(encoder, noise):
    objective = LayerPairs([1, 3], encoder.config, encoder.config, ordered=True)
    model = Distillation(Encoder(encoder.config), encoder, objective, train_extractor=True)
    assert not model.train_extractor
    loss, _, _ = model(torch.from_numpy(noise(0.4, 1))[None], torch.tensor([6400]))
    loss.backward()
    assert model.student.feature_projection.projection.weight.grad.abs().sum() > 0


def test_its_arithmetic_is_the_filters_and_what_follows(encoder, mel):
    """Per frame of 10 ms the filters (256 · 20), per frame of 20 ms the projection; the rest is counted elsewhere."""
    more = replace(mel, mel_bins=40)
    difference = macs_per_second(Encoder(more)) - macs_per_second(encoder)
    assert difference == pytest.approx(100 * 256 * 20 + 50 * 40 * 12, rel=0.02)


def test_it_takes_the_size_of_another_encoder(mel, pruned):
    base = scaled(pruned.config, len(mel.shapes), EncoderConfig(), mel.conv_dim)
    assert base.conv_dim == EncoderConfig().conv_dim and len(base.layers) == 12


def test_what_has_no_meaning_without_convolutions_is_refused(mel):
    with pytest.raises(SecateurError, match="conv_sparsity: the encoder reads log-mel energies"):
        ChannelGates(mel, True, 2.0, 1.0)
    with pytest.raises(SecateurError, match="front_end is 'fbank'; choose 'waves' or 'mel'"):
        EncoderConfig.from_dict({"model_type": "hubert", "front_end": "fbank"}, "here")
    with pytest.raises(SecateurError, match="do_normalize is for front_end 'waves'"):
        EncoderConfig.from_dict({"model_type": "hubert", "front_end": MEL, "do_normalize": True}, "here")
    found = list(_encoder("encoder", {"model_type": "wavlm", "front_end": MEL, "conv_dim": [8], "conv_bias": True}))
    assert [problem.split(":")[0] for problem in found[:2]] == ["encoder.conv_bias", "encoder.conv_dim"]
