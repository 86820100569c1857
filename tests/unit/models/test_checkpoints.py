import json
import subprocess
import sys

import pytest
import tiny
import torch
from safetensors.torch import save_file
from tiny import LM, TOKENS, hybrid, with_encoder

from secateur.core.errors import SecateurError
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.tensors import read_tensors, save_tensors

TRANSFORMER = tiny.CTC | {"intermediate_ctc": {"layers": [1, 2], "weight": 0.4}, "stochastic_depth": 0.3}
CONFORMER = with_encoder(TRANSFORMER, type="conformer")
HYBRID = hybrid(TRANSFORMER)


def batch():
    generator = torch.Generator().manual_seed(0)
    return {
        "speech": torch.randn(2, 40, 20, generator=generator),
        "speech_lengths": torch.tensor([40, 31]),
        "text": torch.tensor([[3, 2, 4], [5, 3, -1]]),
        "text_lengths": torch.tensor([3, 2]),
    }


@pytest.mark.parametrize(
    "config", [CONFORMER, TRANSFORMER, HYBRID, LM], ids=["conformer", "transformer", "hybrid", "lm"]
)
def test_a_checkpoint_rebuilds_its_model_exactly(tmp_path, config):
    torch.manual_seed(1)
    model = build_model(config, TOKENS).eval()
    save_model(tmp_path, model, config, TOKENS)
    loaded = load_model(tmp_path)
    assert loaded.tokens == TOKENS
    assert loaded.config == config
    tensors = batch()
    if config is LM:
        tensors = {"text": tensors["text"].clamp(min=0), "text_lengths": tensors["text_lengths"]}
    assert torch.equal(loaded.model(**tensors)[0], model(**tensors)[0])


def test_intermediate_ctc_is_the_weighted_mean_of_the_layers_losses():
    """loss = (1−w)·L_ctc + w·mean_k L_ctc^(k) (Lee & Watanabe 2021), each from the shared norm and head."""
    torch.manual_seed(1)
    model = build_model(TRANSFORMER, TOKENS).eval()
    tensors = batch()
    loss = model(**batch())[0]
    hidden = {}
    for number, layer in enumerate(model.encoder.encoders, 1):
        layer.register_forward_hook(lambda _, __, output, number=number: hidden.__setitem__(number, output[0]))
    _, lengths = model.encode(tensors["speech"], tensors["speech_lengths"])

    def ctc(layer):
        logits = model.ctc.ctc_lo(model.encoder.after_norm(hidden[layer])).log_softmax(-1).transpose(0, 1)
        each = torch.nn.functional.ctc_loss(
            logits, tensors["text"], lengths, tensors["text_lengths"], reduction="none", zero_infinity=True
        )
        return each.sum() / 2

    torch.testing.assert_close(loss.squeeze(), 0.6 * ctc(3) + 0.4 * (ctc(1) + ctc(2)) / 2)


def test_normalisation_stacking_and_padding():
    model = build_model(CONFORMER, TOKENS).eval()
    model.frontend.mean.fill_(2.0)
    model.frontend.std.fill_(4.0)
    speech = torch.full((2, 5, 20), 10.0)
    normalized, lengths = model.frontend(speech, torch.tensor([5, 4]))
    assert torch.all(normalized[0] == 2.0)
    assert torch.all(normalized[1, 4] == 0.0)
    stacked, lengths = model.preencoder(normalized, lengths)
    assert stacked.shape == (2, 2, 60)
    assert lengths.tolist() == [2, 2]
    assert torch.equal(stacked[0, 0], normalized[0, :3].reshape(-1))
    assert torch.all(stacked[:, 1, 40:] == 0)


def test_the_loss_is_computed_in_float32_under_autocast():
    torch.manual_seed(1)
    model = build_model(TRANSFORMER, TOKENS).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(**batch())[0]
    assert loss.dtype == torch.float32
    assert loss != loss.bfloat16().float()


def test_layers_are_skipped_at_the_rates_of_the_ramp():
    """p_l = p_max·l/N (Lee, Kang & Watanabe 2021), counted over forward passes in training; never in evaluation."""
    torch.manual_seed(1)
    model = build_model(TRANSFORMER, TOKENS)
    calls = [0, 0, 0]
    for index, layer in enumerate(model.encoder.encoders):

        def count(*_, index=index):
            calls[index] += 1

        layer.feed_forward.register_forward_pre_hook(count)
    passes, tensors = 400, batch()
    with torch.no_grad():
        for _ in range(passes):
            model.train().encode(tensors["speech"], tensors["speech_lengths"])
        for called, rate in zip(calls, (0.1, 0.2, 0.3), strict=True):
            assert 1 - called / passes == pytest.approx(rate, abs=4 * (rate * (1 - rate) / passes) ** 0.5)
        calls[:] = [0, 0, 0]
        for _ in range(20):
            model.eval().encode(tensors["speech"], tensors["speech_lengths"])
    assert calls == [20, 20, 20]


@pytest.mark.parametrize("training", [True, False])
def test_a_kept_layer_is_scaled_in_training_only(training):
    model = build_model(with_encoder(TRANSFORMER, dropout=0.0), TOKENS)
    layer = model.encoder.encoders[2].train(training)
    hidden, mask = torch.randn(1, 6, 16), torch.ones(1, 1, 6, dtype=torch.bool)
    torch.manual_seed(0)  # the first draw is 0.496: the layer, skipped at 0.3, is kept
    output, _ = layer(hidden, mask)
    scale = 1 / (1 - 0.3) if training else 1.0
    normed = layer.norm1(hidden)
    middle = hidden + scale * layer.self_attn(normed, normed, normed, mask)
    torch.testing.assert_close(output, middle + scale * layer.feed_forward(layer.norm2(middle)))


def test_bad_checkpoints_are_refused(tmp_path):
    model = build_model(CONFORMER, TOKENS)
    save_model(tmp_path, model, CONFORMER, TOKENS)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()

    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SecateurError, match=r"model.safetensors: not a whole safetensors file"):
        load_model(tmp_path)

    flipped = bytearray(whole)
    flipped[-100] ^= 1
    weights.write_bytes(flipped)
    with pytest.raises(SecateurError, match=r"model.safetensors: the checksum does not fit; the file is damaged"):
        load_model(tmp_path)

    save_file(model.state_dict(), weights)
    with pytest.raises(SecateurError, match=r"model.safetensors: has no checksum, so this version did not write it"):
        load_model(tmp_path)

    weights.write_bytes(b"\x80\x04pickled")
    with pytest.raises(SecateurError, match="not a whole safetensors file"):
        load_model(tmp_path)

    weights.write_bytes(whole)
    description = json.loads((tmp_path / "model.json").read_text())
    description["config"]["encoder"]["dim"] = 32
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(SecateurError, match=r"does not fit model.json"):
        load_model(tmp_path)

    description["format"] = 99
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(SecateurError, match="format 99"):
        load_model(tmp_path)

    with torch.no_grad():
        model.ctc.ctc_lo.bias[0] = float("nan")
    save_model(tmp_path, model, CONFORMER, TOKENS)
    with pytest.raises(SecateurError, match=r"ctc_lo.bias holds NaN"):
        load_model(tmp_path)


def test_the_same_tensors_are_the_same_bytes_however_they_are_ordered(tmp_path):
    tensors = {"b": torch.arange(6).view(2, 3), "a": torch.tensor(0.5), "none": torch.zeros(0, 4)}
    texts = {"z": "1", "a": "2"}
    save_tensors(tmp_path / "x", tensors, texts)
    save_tensors(tmp_path / "y", dict(sorted(tensors.items())), dict(sorted(texts.items())))
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    found, found_texts = read_tensors(tmp_path / "x")
    assert found.keys() == tensors.keys() and found_texts == texts
    assert all(torch.equal(found[name], value) for name, value in tensors.items())


def test_every_flipped_bit_of_a_checkpoint_is_found(tmp_path):
    """None gives other tensors or texts: it is found, or it is in padding or in the header's layout."""
    tensors, texts = {"a": torch.tensor([1.0, 2.0, 3.0]), "b": torch.tensor([[7], [8]])}, {"of": "a test"}
    path = tmp_path / "x.safetensors"
    save_tensors(path, tensors, texts)
    whole = path.read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        try:
            found, found_texts = read_tensors(path)
        except SecateurError as error:
            assert "x.safetensors" in str(error)
            continue
        assert found_texts == texts and all(torch.equal(found[name], value) for name, value in tensors.items())


def test_a_checkpoint_that_the_disk_has_no_room_for_is_one_clear_error(tmp_path):
    """By a limit that the system enforces; safetensors has an error of its own for it."""
    code = """
import resource, signal, sys, torch
from secateur.models.tensors import save_tensors
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
save_tensors(sys.argv[1], {"a": torch.zeros(10_000)})
"""
    path = tmp_path / "model.safetensors"
    save_tensors(path, {"a": torch.ones(3)})
    answer = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert f"SecateurError: {path}: could not be written (File too large); free some disk space" in answer.stderr
    assert list(tmp_path.iterdir()) == [path] and torch.equal(read_tensors(path)[0]["a"], torch.ones(3))


@pytest.mark.parametrize("config", [CONFORMER, TRANSFORMER, HYBRID], ids=["conformer", "transformer", "conv2d"])
@pytest.mark.parametrize("training", [False, True])
def test_an_utterance_does_not_depend_on_the_others_in_its_batch(config, training):
    """Nor on its padding: the loss of a batch is the mean of the losses of its utterances."""
    torch.manual_seed(1)
    model = build_model(config, TOKENS)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for layer in model.encoder.encoders:
        layer.stochastic_depth_rate = 0.0
    model.train(training)
    tensors = batch()
    together = model(**batch())[0]
    alone = [
        model(
            tensors["speech"][i : i + 1, :frames],
            tensors["speech_lengths"][i : i + 1],
            tensors["text"][i : i + 1, :tokens].clone(),
            tensors["text_lengths"][i : i + 1],
        )[0]
        for i, (frames, tokens) in enumerate(zip((40, 31), (3, 2), strict=True))
    ]
    torch.testing.assert_close(together, sum(alone) / 2)
