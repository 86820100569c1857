import copy
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from secateur.core.errors import SecateurError
from secateur.models.upstream.encoder import Encoder
from secateur.ssl import export
from secateur.ssl.gated import compact, open_gates


@pytest.fixture
def encoder(tiny):
    torch.manual_seed(0)
    return Encoder(tiny).eval()


def pruned_of(encoder):
    """Ragged heads, one of them without queries, a head, a block and units gone, a block with its bias left."""
    gates = {kind: value.clone() for kind, value in open_gates(encoder.config).items()}
    gates["mha"][1] = 0.0
    gates["heads"][0, 1] = 0.0
    gates["qk"][0, 0, :2] = gates["qk"][2, 1] = 0.0
    gates["vo"][2, 0, 1:] = 0.0
    gates["int"][0, ::2] = gates["int"][2] = 0.0
    return compact(encoder, gates)


@pytest.fixture
def pruned(encoder):
    return pruned_of(encoder)


@pytest.fixture
def pruned_large(tiny):
    torch.manual_seed(1)
    return pruned_of(Encoder(replace(tiny, feat_extract_norm="layer", do_stable_layer_norm=True)).eval())


@pytest.fixture
def pruned_data2vec(tiny):
    torch.manual_seed(2)
    positions = {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 3}
    return pruned_of(Encoder(replace(tiny, model_type="data2vec-audio", feat_extract_norm="layer", **positions)).eval())


@pytest.mark.parametrize("which", ["encoder", "pruned", "pruned_large", "pruned_data2vec"])
def test_onnx_runtime_gives_what_torch_gives_whatever_the_padding(which, tmp_path, request):
    model = request.getfixturevalue(which)
    assert export.export_encoder(model, tmp_path / "model.onnx") < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    for lengths in ([500], [9000], [4000, 700, 4000, 3000]):
        waves = [generator.standard_normal(length, np.float32) for length in lengths]
        batch = np.stack([np.pad(wave, (0, max(lengths) - len(wave))) for wave in waves])
        found, frames = session.run(None, {"waveforms": batch, "lengths": np.array(lengths)})
        for row, count, wave in zip(found, frames, waves, strict=True):
            with torch.no_grad():
                hidden, alone = model(torch.from_numpy(wave)[None], torch.tensor([len(wave)]))
            assert count == alone
            np.testing.assert_allclose(row[:count], torch.stack(hidden, 2)[0], atol=1e-4)
    assert found.shape[2:] == (4, 12)


def test_a_file_that_computes_something_else_is_refused(encoder, tmp_path, monkeypatch):
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        other.encoder.layers[1].feed_forward.output_dense.weight *= 1.5
    traced, wrong = torch.onnx.export, export._Stacked(other)
    monkeypatch.setattr(torch.onnx, "export", lambda module, *rest, **options: traced(wrong, *rest, **options))
    with pytest.raises(SecateurError, match=r"ONNX Runtime's hidden are off torch's by \d.*in a hidden state"):
        export.export_encoder(encoder, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
