"""The upstream wrapper by s3prl's interface: what its featurizer does, and, where it is installed, s3prl itself."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from secateur.core.errors import SecateurError
from secateur.models.upstream.encoder import Encoder
from secateur.ssl.channels import compact_front
from secateur.ssl.checkpoints import load_upstream, save_encoder
from secateur.ssl.gated import compact, open_gates

FOLDER = Path(__file__).parents[3] / "upstream" / "secateur"


@pytest.fixture
def hubconf(monkeypatch):
    """`hubconf.py`, imported as a module of a package, as s3prl's hub imports it."""
    for name, file in (("upstream_of_s3prl", "__init__"), ("upstream_of_s3prl.hubconf", "hubconf")):
        spec = importlib.util.spec_from_file_location(
            name, FOLDER / f"{file}.py", submodule_search_locations=[str(FOLDER)] if file == "__init__" else None
        )
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
    yield module
    sys.modules.pop("upstream_of_s3prl.expert", None)


@pytest.fixture
def student(tiny, tmp_path):
    """The folder of a structured student: heads, units, a block and channels of the convolutions gone."""
    torch.manual_seed(0)
    encoder = Encoder(tiny).eval()
    gates = {kind: value.clone() for kind, value in open_gates(tiny).items()}
    gates["mha"][1] = gates["heads"][0, 1] = 0.0
    gates["int"][0, ::2] = 0.0
    channels = torch.rand(sum(tiny.conv_dim))
    channels[::3] = 0.0
    smaller = compact_front(compact(encoder, gates), channels)
    assert smaller.config.conv_dim < tiny.conv_dim
    save_encoder(tmp_path / "student", smaller)
    return tmp_path / "student"


class Featurizer(torch.nn.Module):
    """What s3prl does with an upstream: it looks at a second of noise, sums the layers, and cuts clips to length."""

    def __init__(self, upstream):
        super().__init__()
        with torch.no_grad():
            found = upstream([torch.randn(16000)])
        self.layers = len(found["hidden_states"])
        self.weights = torch.nn.Parameter(torch.zeros(self.layers))
        self.output_dim = found["hidden_states"][0].shape[-1]
        self.downsample_rate = upstream.get_downsample_rates("hidden_states")

    def forward(self, wavs, found):
        stacked = torch.stack(list(found["hidden_states"]))  # fails unless all have one shape
        assert stacked.shape[:2] == (self.layers, len(wavs)) and stacked.dim() == 4
        summed = torch.einsum("l,l...->...", self.weights.softmax(0), stacked)
        wanted = [round(len(wav) / self.downsample_rate) for wav in wavs]
        assert abs(summed.shape[1] - max(wanted)) < 5
        return [state[:length] for state, length in zip(summed, wanted, strict=True)]


def waves():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(samples, generator=generator) * 0.1 for samples in (9000, 16000, 4321)]


def test_the_hub_finds_one_entry_with_the_options_of_run_downstream(hubconf, student):
    entries = [name for name, value in vars(hubconf).items() if callable(value) and not name.startswith("_")]
    assert entries == ["secateur"]
    upstream = hubconf.secateur(ckpt=str(student), model_config=None, refresh=False)
    assert isinstance(upstream, torch.nn.Module) and not upstream.training


def test_the_featurizer_gets_the_hidden_states_of_the_compacted_model(hubconf, student, tiny):
    upstream, alone = hubconf.secateur(str(student)), load_upstream(student)
    featurizer = Featurizer(upstream)
    assert (featurizer.layers, featurizer.output_dim, featurizer.downsample_rate) == (4, 12, 16 * 5 * 4)
    found = upstream(waves())
    assert torch.equal(found["last_hidden_state"], found["hidden_states"][-1])
    features = featurizer(waves(), found)
    for place, wav in enumerate(waves()):
        hidden, frames = alone(wav[None], torch.tensor([len(wav)]))
        for layer, want in zip(found["hidden_states"], hidden, strict=True):
            torch.testing.assert_close(layer[place, : int(frames)], want[0], rtol=1e-4, atol=1e-5)
        mean = torch.stack(hidden).mean(0)[0]
        length = min(len(features[place]), int(frames))
        torch.testing.assert_close(features[place][:length], mean[:length], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("folder", ["student", "mel"])
def test_clips_as_short_as_s3prl_takes_have_more_than_half_of_its_frames(hubconf, student, tiny, tmp_path, folder):
    if folder == "mel":
        save_encoder(tmp_path / "mel", Encoder(replace(tiny, front_end="mel", conv_bias=False)))
    upstream = hubconf.secateur(str(tmp_path / folder))
    for samples in (800, 960, 961, 1199, 1200, 1280, 1281, 1601):  # around the ends of frames
        hidden = upstream([torch.zeros(20), torch.ones(samples)])["hidden_states"]
        frames = hidden[0].shape[1]
        wanted = -(-samples // 320)
        # what s3prl.nn.S3PRLUpstream asserts before it cuts or repeats frames
        assert max(wanted, frames) // min(wanted, frames) == 1
        assert all(state.isfinite().all() for state in hidden)


def test_an_upstream_can_be_fine_tuned(hubconf, student):
    upstream = hubconf.secateur(str(student)).train()
    upstream(waves())["hidden_states"][-1].sum().backward()
    assert upstream.model.encoder.layers[0].attention.q_proj.weight.grad is not None


def test_a_folder_that_is_not_there_is_named(hubconf, tmp_path):
    with pytest.raises(SecateurError, match=r"nothing/config\.json: no such file"):
        hubconf.secateur(str(tmp_path / "nothing"))


def test_s3prls_own_featurizer_takes_it(hubconf, student):
    interfaces = pytest.importorskip("s3prl.upstream.interfaces", exc_type=ImportError)
    upstream = hubconf.secateur(str(student))
    theirs = interfaces.Featurizer(upstream, "hidden_states", "cpu")
    assert (theirs.layer_num, theirs.output_dim, theirs.downsample_rate) == (4, 12, 320)
    ours = Featurizer(upstream)
    for mine, other in zip(ours(waves(), upstream(waves())), theirs(waves(), upstream(waves())), strict=True):
        torch.testing.assert_close(mine, other)


def test_s3prls_newer_interface_takes_it(hubconf, student, monkeypatch):
    nn = pytest.importorskip("s3prl.nn", exc_type=ImportError)
    monkeypatch.setattr(nn.upstream.hub, "secateur", hubconf.secateur, raising=False)
    upstream = nn.S3PRLUpstream("secateur", str(student)).eval()
    assert (upstream.num_layers, upstream.hidden_sizes, upstream.downsample_rates) == (4, [12] * 4, [320] * 4)
    lengths = torch.tensor([len(wav) for wav in waves()])
    summed, frames = nn.Featurizer(upstream)(*upstream(pad_sequence(waves(), batch_first=True), lengths))
    assert frames.tolist() == [29, 50, 14]
    means = torch.stack(hubconf.secateur(str(student))(waves())["hidden_states"]).mean(0)
    torch.testing.assert_close(summed[:, : means.shape[1]], means)
    upstream(torch.zeros(2, 700), torch.tensor([700, 30]))
