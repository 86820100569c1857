"""Self-conditioned CTC: as ESPnet's encoder classes compute it, kept right by smaller models, exits and exports."""

import copy

import pytest
import torch
from espnet2.asr.encoder.conformer_encoder import ConformerEncoder
from espnet2.asr.encoder.transformer_encoder import TransformerEncoder
from small_models import CONFORMER, TRANSFORMER, make_batch, make_model
from tiny import TOKENS, hybrid, with_encoder

from secateur.decoding.onnx import export_onnx
from secateur.decoding.recognize import encode
from secateur.exits.encoder import Exit, early_exit
from secateur.layers.dev import Dev
from secateur.layers.export import export
from secateur.layers.search import search
from secateur.models.checkpoint import save_model
from secateur.models.conformer import FrameNorm
from secateur.models.load import load_model
from secateur.models.surgery.layers import keep_layers
from secateur.speech.tokens import Tokenizer

INNER = {"layers": [1, 3], "weight": 0.4, "condition": True}
KINDS = {
    name: with_encoder(config, layers=4, dropout=0.0) | {"intermediate_ctc": INNER, "stochastic_depth": 0.0}
    for name, config in {"transformer": TRANSFORMER, "conformer": CONFORMER}.items()
}
EVERY_KIND = pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)


def conditioned(config, scale=4):
    """A model whose inner heads matter."""
    model = make_model(config)
    with torch.no_grad():
        model.encoder.conditioning_layer.weight *= scale
    return model


def outputs(model):
    batch = make_batch().tensors
    with torch.inference_mode():
        output, lengths = encode(model, batch["speech"], batch["speech_lengths"])
    return [one[:length] for one, length in zip(output, lengths.tolist(), strict=True)]


def close(one, other, atol=1e-5):
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)


@EVERY_KIND
def test_outputs_losses_and_gradients_are_those_of_espnets_encoder(config):
    """One utterance at a time: ESPnet's own convolutions read padding."""
    ours, options = conditioned(config), config["encoder"]
    kind = ConformerEncoder if options["type"] == "conformer" else TransformerEncoder
    more = dict(macaron_style=True, rel_pos_type="latest", cnn_module_kernel=options["kernel"])
    theirs = kind(
        *(60, options["dim"], options["heads"], options["ffn"], options["layers"], 0.0, 0.0, 0.0),
        input_layer="linear",
        interctc_layer_idx=INNER["layers"],
        interctc_use_conditioning=True,
        **(more if kind is ConformerEncoder else {}),
    )
    theirs.conditioning_layer = torch.nn.Linear(len(TOKENS), options["dim"])
    for layer in theirs.encoders if kind is ConformerEncoder else ():
        layer.conv_module.norm = _BatchFirst(options["dim"])
    assert theirs.load_state_dict(ours.encoder.state_dict()) and theirs.eval()
    model = copy.deepcopy(ours)
    model.encoder = theirs
    for number in range(4):
        batch, results = make_batch([number]).tensors, []
        for one in (ours, model):
            one.zero_grad()
            loss, _, _ = one(**batch)
            loss.backward()
            gradients = [parameter.grad for parameter in one.encoder.parameters()]
            results.append((loss.detach(), encode(one, batch["speech"], batch["speech_lengths"])[0], gradients))
        torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-4)
    plain = make_model(config | {"intermediate_ctc": INNER | {"condition": False}})
    plain.load_state_dict(ours.state_dict(), strict=False)
    assert (outputs(ours)[0] - outputs(plain)[0]).abs().max() > 0.1  # it does matter


class _BatchFirst(FrameNorm):
    """Of (B, D, T), as ESPnet's convolution normalises."""

    def forward(self, hidden):
        return super().forward(hidden.transpose(1, 2)).transpose(1, 2)


@EVERY_KIND
def test_kept_layers_hear_the_heads_that_are_kept_below_them(config, tmp_path):
    """By hand: layers 3 and 4 of four; the head after layer 3 is heard, that after layer 1 is gone."""
    model = conditioned(config)
    kept = keep_layers(conditioned(config), [3, 4])
    places, layers = model.encoder.interctc_layer_idx, list(model.encoder.encoders)
    for number in (0, 1):  # hand on what they get
        layers[number].forward = lambda state, mask, *_: (state, mask)
    model.encoder.interctc_layer_idx = [place for place in places if place == 3]
    close(outputs(kept), outputs(model))
    model.encoder.interctc_layer_idx = []
    assert (outputs(kept)[0] - outputs(model)[0]).abs().max() > 1e-2
    save_model(tmp_path / "whole", conditioned(config), config, TOKENS)
    export(tmp_path / "whole", [3, 4], tmp_path / "cut")
    close(outputs(load_model(tmp_path / "cut").model), outputs(kept))


@EVERY_KIND
def test_the_layer_below_the_cut_is_heard_by_nobody(config):
    """The last kept layer's head is the answer itself: ESPnet's inner head there."""
    model = conditioned(config)
    batch = make_batch().tensors
    with torch.inference_mode():
        _, inner = model.encode(batch["speech"], batch["speech_lengths"])[0]
    expected = [one[: len(other)] for one, other in zip(dict(inner)[3], outputs(model), strict=True)]
    close(outputs(keep_layers(conditioned(config), [1, 2, 3])), expected)
    close(outputs(early_exit(model, Exit((1, 3), threshold=0.0))), outputs(model))
    close(outputs(early_exit(model, Exit((3,)))), expected)


@EVERY_KIND
def test_the_search_for_layers_scores_what_the_sub_models_compute(config):
    class Examples:
        def load(self, names):
            return make_batch([int(name) for name in names])

    names = ["0", "1", "2", "3"]
    dev = Dev(Examples(), [names], dict.fromkeys(names, "a"), Tokenizer(TOKENS))
    found = search(conditioned(config), "greedy", dev)
    for depth in found["depths"].values():
        sub_model = keep_layers(conditioned(config), depth["layers"])
        sub_model.interctc_weight = 0.0
        with torch.inference_mode():
            loss = float(sub_model(**make_batch().tensors)[0])
        assert depth["dev_loss"] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("layers", [None, [1, 3]])
def test_onnx_runtime_hears_the_heads(tmp_path, layers):
    model = conditioned(KINDS["conformer"])
    if layers:
        keep_layers(model, layers)
    assert export_onnx(model, 20, tmp_path / "model.onnx") < 1e-4


def test_a_hybrid_model_is_conditioned_too():
    config = hybrid(KINDS["transformer"], layers=1)
    close(outputs(early_exit(conditioned(config), Exit((1,), threshold=0.0))), outputs(conditioned(config)))
