"""Hidden states by layer, from every kind of encoder, against running the layers by hand."""

import pytest
import torch
from tiny import CTC, NO_INNER_LOSS, TOKENS, hybrid, transducer, with_encoder

from secateur.core.errors import SecateurError
from secateur.layers.hidden import covariances, layer_outputs
from secateur.models.build import build_model
from secateur.models.surgery.layers import keep_layers
from secateur.speech.data import Batch

TRANSFORMER = with_encoder(CTC, attention_dropout=0.1) | {"stack": 4, "stochastic_depth": 0.9}
CONFORMER = with_encoder(TRANSFORMER, type="conformer")
PLAIN = CONFORMER | {"intermediate_ctc": NO_INNER_LOSS}
HYBRID = hybrid(TRANSFORMER)
EMFORMER = transducer(TRANSFORMER, segment=4, right_context=2, memory=1)
MODELS = {"transformer": TRANSFORMER, "conformer": CONFORMER, "plain": PLAIN, "hybrid": HYBRID, "emformer": EMFORMER}
LENGTHS = torch.tensor([60, 47])


@pytest.fixture(params=list(MODELS))
def model(request) -> torch.nn.Module:
    return build(MODELS[request.param])


def build(config: dict) -> torch.nn.Module:
    torch.manual_seed(1)
    return build_model(config, TOKENS)


def speech() -> torch.Tensor:
    return torch.randn(2, 60, 20, generator=torch.Generator().manual_seed(0))


def read(model: torch.nn.Module, features: torch.Tensor, lengths: torch.Tensor):
    with layer_outputs(model) as outputs:
        return outputs(features, lengths)


@pytest.mark.parametrize("name", ["transformer", "conformer", "plain", "hybrid"])
def test_layers_are_those_of_running_the_encoder_by_hand(name):
    model = build(MODELS[name])
    hidden, lengths = read(model, speech(), LENGTHS)
    assert list(hidden) == [0, 1, 2, 3]
    assert lengths.tolist() == ([14, 11] if name == "hybrid" else [15, 12])

    model.eval()
    encoder, alone = model.encoder, speech()[1:, :47]  # the shorter utterance: no padding
    feats, _ = model.frontend(alone, LENGTHS[1:])
    if model.preencoder is not None:
        feats, _ = model.preencoder(feats, LENGTHS[1:])
    mask = torch.ones(1, 1, feats.shape[1], dtype=torch.bool)
    embedded = encoder.embed(feats, mask)[0] if name == "hybrid" else encoder.embed(feats)
    encoder(feats, torch.tensor([feats.shape[1]]))  # lets the encoder's own hooks know the length
    mask = torch.ones(1, 1, int(lengths[1]), dtype=torch.bool)
    for number in range(4):
        if number:
            embedded, mask = encoder.encoders[number - 1](embedded, mask)
        wanted = embedded[0] if isinstance(embedded, tuple) else embedded
        torch.testing.assert_close(hidden[number][1, : lengths[1]], wanted[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["transformer", "conformer", "plain", "hybrid"])
def test_layers_are_those_of_espnets_own_list(name):
    """It makes one if there is no intermediate CTC."""
    model = build(MODELS[name])
    hidden, lengths = read(model, speech(), LENGTHS)
    model.eval()
    model.encoder.interctc_layer_idx = []
    feats, feats_lengths = model.frontend(speech(), LENGTHS)
    if model.preencoder is not None:
        feats, feats_lengths = model.preencoder(feats, feats_lengths)
    (_, wanted), wanted_lengths, _ = model.encoder(feats, feats_lengths, return_all_hs=True)
    assert lengths.tolist() == wanted_lengths.tolist()
    for number, states in enumerate(wanted, 1):
        assert torch.equal(hidden[number], states)


def test_the_last_layer_makes_the_encoders_output(model):
    hidden, lengths = read(model, speech(), LENGTHS)
    output, output_lengths = model.eval().encode(speech(), LENGTHS)
    output = output[0] if isinstance(output, tuple) else output
    last = model.encoder.after_norm(hidden[3]) if hasattr(model.encoder, "after_norm") else hidden[3]
    assert lengths.tolist() == output_lengths.tolist()
    assert all(states.shape == output.shape for states in hidden.values())
    for row, length in enumerate(lengths):
        torch.testing.assert_close(last[row, :length], output[row, :length])


def test_neighbours_and_padding_change_nothing(model):
    together, lengths = read(model, speech(), LENGTHS)
    alone, (length,) = read(model, speech()[1:, :47], LENGTHS[1:])
    assert length == lengths[1]
    for number, states in alone.items():
        torch.testing.assert_close(together[number][1, :length], states[0, :length], rtol=1e-4, atol=1e-5)


def test_the_model_is_evaluated_and_left_as_it_was(model):
    """Stochastic depth of 0.9 and dropout would show; so would a hook that stayed, and a frozen part thawed."""
    model.train()
    model.ctc = model.ctc.eval() if model.ctc is not None else None
    modes = [module.training for module in model.modules()]
    hooks = [len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in model.encoder.encoders]
    first, _ = read(model, speech(), LENGTHS)
    second, _ = read(model, speech(), LENGTHS)
    for number in first:
        assert torch.equal(first[number], second[number])
        assert not first[number].requires_grad
    with pytest.raises(RuntimeError), layer_outputs(model):
        raise RuntimeError
    assert [module.training for module in model.modules()] == modes
    assert [len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in model.encoder.encoders] == hooks


def test_layers_keep_their_numbers_when_others_are_removed():
    model = build(TRANSFORMER)
    whole, _ = read(model, speech(), LENGTHS)
    shortened, _ = read(keep_layers(model, [1, 3]), speech(), LENGTHS)
    assert list(shortened) == [0, 1, 3]
    assert torch.equal(shortened[1], whole[1])
    assert not torch.equal(shortened[3], whole[3])


def test_a_layer_that_is_not_run_is_missing():
    model = build(TRANSFORMER)
    whole, _ = read(model, speech(), LENGTHS)
    with layer_outputs(model) as outputs:
        model.encoder.encoders = model.encoder.encoders[1:]
        shortened, _ = outputs(speech(), LENGTHS)
    assert list(shortened) == [0, 2, 3]
    assert torch.equal(shortened[0], whole[0])


def test_a_model_without_encoder_layers_is_refused():
    with (
        pytest.raises(SecateurError, match="Linear: the model has no stack of encoder layers"),
        layer_outputs(torch.nn.Linear(2, 2)),
    ):
        pass


def batches(model_input: torch.Tensor) -> list[Batch]:
    tensors = {"speech": model_input, "speech_lengths": LENGTHS}
    return [Batch(["u1", "u2"], ["en", "en"], tensors)] * 2


def test_covariances_of_two_models():
    """A model and itself: every layer is wholly like its twin; padding is not counted."""
    models = {"one": build(TRANSFORMER), "two": build(TRANSFORMER)}
    layers, total = covariances(models, batches(speech()), torch.device("cpu"))
    assert layers == [(name, layer) for name in ("one", "two") for layer in range(4)]
    assert total.frames == 2 * (15 + 12)
    torch.testing.assert_close(total.cka()[:4, 4:].diagonal(), torch.ones(4, dtype=torch.float64))
    assert total.cka()[0, 7] < 0.999


def test_models_of_other_frame_rates_are_refused():
    models = {"one": build(TRANSFORMER), "two": build(TRANSFORMER | {"stack": 3})}
    with pytest.raises(SecateurError, match="utterance 'u1' has 15 frames in one and 20 in two; compare models with"):
        covariances(models, batches(speech()), torch.device("cpu"))
