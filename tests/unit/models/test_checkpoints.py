import json

import pytest
import torch

from secateur.errors import SecateurError
from secateur.models import build_model, load_model, save_model

TOKENS = ["<blank>", "<unk>", "<space>", "a", "b", "c", "<sos/eos>"]
CTC = {
    "type": "ctc",
    "features": 20,
    "input": "stack",
    "stack": 3,
    "encoder": {
        "type": "conformer",
        "layers": 3,
        "dim": 16,
        "heads": 2,
        "ffn": 32,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "kernel": 5,
    },
    "intermediate_ctc": {"layers": [1, 2], "weight": 0.4},
    "stochastic_depth": 0.3,
}
TRANSFORMER = CTC | {"encoder": CTC["encoder"] | {"type": "transformer"}}
HYBRID = TRANSFORMER | {
    "type": "hybrid",
    "input": "conv2d",
    "decoder": {"layers": 1, "heads": 2, "ffn": 32, "dropout": 0.1},
    "ctc_weight": 0.3,
    "label_smoothing": 0.1,
}
LM = {"type": "transformer_lm", "embedding": 8, "dim": 16, "heads": 2, "ffn": 32, "layers": 1, "dropout": 0.1}


def batch():
    generator = torch.Generator().manual_seed(0)
    return {
        "speech": torch.randn(2, 40, 20, generator=generator),
        "speech_lengths": torch.tensor([40, 31]),
        "text": torch.tensor([[3, 2, 4], [5, 3, -1]]),
        "text_lengths": torch.tensor([3, 2]),
    }


@pytest.mark.parametrize("config", [CTC, TRANSFORMER, HYBRID, LM], ids=["conformer", "transformer", "hybrid", "lm"])
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
    model = build_model(CTC, TOKENS).eval()
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
    model = build_model(TRANSFORMER | {"encoder": TRANSFORMER["encoder"] | {"dropout": 0.0}}, TOKENS)
    layer = model.encoder.encoders[2].train(training)
    hidden, mask = torch.randn(1, 6, 16), torch.ones(1, 1, 6, dtype=torch.bool)
    torch.manual_seed(0)  # the first draw is 0.496: the layer, skipped at 0.3, is kept
    output, _ = layer(hidden, mask)
    scale = 1 / (1 - 0.3) if training else 1.0
    normed = layer.norm1(hidden)
    middle = hidden + scale * layer.self_attn(normed, normed, normed, mask)
    torch.testing.assert_close(output, middle + scale * layer.feed_forward(layer.norm2(middle)))


def test_bad_checkpoints_are_refused(tmp_path):
    model = build_model(CTC, TOKENS)
    save_model(tmp_path, model, CTC, TOKENS)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()

    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SecateurError, match=r"model.safetensors: not a whole safetensors file"):
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
    save_model(tmp_path, model, CTC, TOKENS)
    with pytest.raises(SecateurError, match=r"ctc_lo.bias holds NaN"):
        load_model(tmp_path)


@pytest.mark.parametrize("config", [CTC, TRANSFORMER, HYBRID], ids=["conformer", "transformer", "conv2d"])
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
