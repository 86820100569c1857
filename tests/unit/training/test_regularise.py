"""Regularisers that come late: the same weights, another loss, and a weight that rises."""

from functools import partial

import pytest
import torch
from tiny import CTC, TOKENS, with_encoder

from secateur.models.build import build_model
from secateur.models.load import Loaded, rebuild
from secateur.speech.data import Batch
from secateur.training.regularise import RisingWeight, Skipping, regularised

CONFIG = with_encoder(CTC, dropout=0.0) | {"intermediate_ctc": {"layers": [], "weight": 0.3}, "stochastic_depth": 0.0}
SPEECH = {
    "speech": torch.randn(2, 60, 20, generator=torch.Generator().manual_seed(0)),
    "speech_lengths": torch.tensor([60, 40]),
    "text": torch.tensor([[3, 4, 3], [4, 3, -1]]),
    "text_lengths": torch.tensor([3, 2]),
}
BATCH = Batch(["u1", "u2"], ["en", "en"], SPEECH)


@pytest.fixture
def loaded():
    torch.manual_seed(0)
    return Loaded(build_model(CONFIG, TOKENS).eval(), CONFIG, TOKENS)


def loss(model) -> float:
    return model(**SPEECH)[0].item()


def test_the_weights_stay_and_the_loss_becomes_that_of_the_formula(loaded):
    model, config = regularised(loaded, {"layers": [1, 2], "weight": 0.6}, 0.3)
    model.eval()
    assert all(torch.equal(value, loaded.model.state_dict()[name]) for name, value in model.state_dict().items())
    inner = []
    for layer in (1, 2):  # half of this loss is the layer's own, half the last one's
        single, _ = regularised(loaded, {"layers": [layer], "weight": 0.5}, 0.0)
        inner.append(2 * loss(single.eval()) - loss(loaded.model))
    assert loss(model) == pytest.approx(0.4 * loss(loaded.model) + 0.6 * sum(inner) / 2, rel=1e-5)
    assert config["intermediate_ctc"] == {"layers": [1, 2], "weight": 0.6}
    assert [layer.stochastic_depth_rate for layer in model.encoder.encoders] == pytest.approx([0.1, 0.2, 0.3])
    assert loaded.config["stochastic_depth"] == 0.0


def test_the_weight_rises_in_a_line_and_evaluation_has_none_of_it(loaded):
    model, _ = regularised(loaded, {"layers": [2], "weight": 0.6}, 0.0)
    assert loss(model.eval()) != loss(loaded.model)
    method, seen = RisingWeight(model, steps=3), []
    for step in range(5):
        method.before_forward(step, BATCH)
        seen.append(model.interctc_weight)
        with method.evaluating(BATCH):
            assert loss(model) == loss(loaded.model)
        assert model.interctc_weight == seen[-1]
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.6, 0.6])
    at_once = RisingWeight(model, steps=0)
    at_once.weight = 0.6
    at_once.before_forward(0, BATCH)
    assert model.interctc_weight == 0.6


def count(ran, number, *_):
    ran[number] += 1


def test_layers_are_skipped_at_a_rate_that_rises_or_at_one_for_all(loaded):
    """LayerDrop has one rate for all layers; both are counted, layer by layer, over 400 passes."""
    for flat, rates in ((False, [0.2, 0.4, 0.6]), (True, [0.6, 0.6, 0.6])):
        model, config = regularised(loaded, {"layers": [], "weight": 0.3}, 0.6, flat)
        again = rebuild(config, TOKENS)
        for one in (model, again):
            assert [layer.stochastic_depth_rate for layer in one.encoder.encoders] == pytest.approx(rates)
        ran = [0, 0, 0]
        for number, layer in enumerate(model.encoder.encoders):
            layer.feed_forward.register_forward_hook(partial(count, ran, number))
        model.eval()
        torch.manual_seed(1)
        with Skipping(model).evaluating(BATCH), torch.no_grad():
            for _ in range(400):
                model.encode(SPEECH["speech"], SPEECH["speech_lengths"])
        shares = [1 - passes / 400 for passes in ran]
        assert shares == pytest.approx(rates, abs=0.08)  # more than 3 standard deviations of a share of 400
        assert not any(module.training for module in model.modules())
