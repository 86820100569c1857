"""Channels of the convolutions that a model hears through: their importance, their order, and exact removal."""

import copy
from functools import partial

import pytest
import torch
from small_models import TOKENS, TRANSFORMER, make_batch, make_model
from tiny import CTC, run_script, write_corpus

from secateur.core.errors import SecateurError
from secateur.core.files import read_json
from secateur.heads import parts
from secateur.heads.parts import CHANNELS, IMPORTANCES
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model, rebuild, smaller, whole
from secateur.models.size import size
from secateur.models.surgery.channels import (
    Channel,
    channels,
    convolutions,
    gated,
    keep_channels,
    kept_channels,
    masked,
    remove_channels,
)
from secateur.models.surgery.layers import keep_layers

CONV = TRANSFORMER | {"input": "conv2d"}
STACK = TRANSFORMER | {"input": "stack", "stack": 3}
importance = partial(parts.importance, kind=CHANNELS)
removed_at = partial(parts.removed_at, kind=CHANNELS)
GONE = [Channel(1, 2), Channel(1, 24), Channel(2, 1), Channel(2, 7), Channel(2, 8)]


def encoded(model, batch):
    output, lengths = model.encode(batch.tensors["speech"], batch.tensors["speech_lengths"])
    output = output[0] if isinstance(output, tuple) else output
    return output[torch.arange(output.shape[1]) < lengths[:, None]]


def loss(model, batch):
    return model(**batch.tensors)[0]


@torch.no_grad()
def test_a_smaller_model_computes_what_the_masked_one_does():
    model, batch = make_model(CONV), make_batch()
    with masked(model, GONE):
        expected, expected_loss = encoded(model, batch), loss(model, batch)
    less = remove_channels(copy.deepcopy(model), GONE)
    assert torch.allclose(encoded(less, batch), expected, atol=1e-5)
    assert torch.allclose(loss(less, batch), expected_loss, rtol=1e-5)
    assert not torch.allclose(encoded(model, batch), expected, atol=1e-2), "these channels matter"
    assert [conv.out_channels for conv in convolutions(less).values()] == [22, 21]


@torch.no_grad()
def test_a_smaller_model_comes_back_from_its_configuration_also_without_layers():
    model, batch = make_model(CONV), make_batch()
    less = remove_channels(keep_layers(copy.deepcopy(model), [2]), GONE)
    config = smaller(CONV, less)
    again = rebuild(config, TOKENS).eval()
    again.load_state_dict(less.state_dict(), strict=True)
    assert torch.equal(encoded(again, batch), encoded(less, batch))
    assert channels(again) == [channel for channel in channels(model) if channel not in GONE], "numbers stay"
    assert "kept_channels" not in smaller(CONV, model) and "kept_channels" not in whole(config)
    twice = remove_channels(again, [Channel(1, 1)])
    assert kept_channels(twice)["1"] == [number for number in range(3, 24)]


def test_the_cost_falls_with_the_channels():
    """By hand: 80 bins become 39, then 19; a frame of output takes 2 × 39 of the first convolution's frames."""
    model = make_model(CONV | {"features": 80})
    before = size(model, 80)
    remove_channels(model, [Channel(2, number) for number in range(1, 13)])  # half of 24
    after = size(model, 80)
    second, linear = 24 * 12 * 9 + 12, 24 * 12 * 19
    assert before["parameters"] - after["parameters"] == second + linear
    frames = ((1000 - 1) // 2 - 1) // 2
    assert before["macs_per_second"] - after["macs_per_second"] == pytest.approx(
        frames * (24 * 12 * 9 * 19 + linear) / 10, abs=1
    )


def test_importance_is_the_slope_by_finite_differences():
    """By the value of a gate: the mean over utterances of the absolute slope of each utterance's own loss."""
    model = make_model(CONV)
    found = importance(model, name="gradient", batches=[make_batch()], seed=1)
    assert list(found) == channels(model) and len(set(found.values())) > 20
    step = 2e-3
    for channel in (Channel(1, 3), Channel(2, 5)):
        slopes = []
        for number in range(4):
            alone = make_batch([number])
            losses = []
            for side in (1 + step, 1 - step):
                gate = torch.ones(24)
                gate[channel.channel - 1] = side
                with torch.no_grad(), gated(model, {channel.convolution: gate}):
                    losses.append(float(loss(model, alone)))
            slopes.append(abs(losses[0] - losses[1]) / (2 * step))
        assert found[channel] == pytest.approx(sum(slopes) / 4, rel=0.02)


def test_of_every_convolution_the_same_share_goes_least_important_first():
    values = {Channel(1, 1): 3.0, Channel(1, 2): 1.0, Channel(1, 3): 2.0, Channel(2, 1): 0.1, Channel(2, 2): 0.1}
    assert removed_at(values, share=0.5) == [Channel(1, 2), Channel(1, 3), Channel(2, 1)]
    assert removed_at(values, share=0.0) == []
    assert removed_at(values, share=1.0) == [Channel(1, 2), Channel(1, 3), Channel(2, 1)], "one stays"
    with pytest.raises(SecateurError, match="of the channels cannot be removed"):
        removed_at(values, share=1.5)


def test_the_controls_are_those_of_heads():
    model = make_model(CONV)
    found = importance(model, name="magnitude", batches=[], seed=1)
    kernel = convolutions(model)[2].weight[4].detach()
    assert found[Channel(2, 5)] == pytest.approx(float(kernel.abs().mean()))
    first, again, other = (importance(model, name="random", batches=[], seed=seed) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: remove_channels(model, [Channel(1, 25)]), "the model has no channel 25 of convolution 1"),
        (lambda model: keep_channels(model, {"2": []}), "no channel of convolution 2 would be left"),
        (lambda model: keep_channels(model, {"3": [1]}), "the model has no convolution 3"),
        (lambda model: importance(model, name="size", batches=[], seed=1), "importance 'size' of channels is unknown"),
        (lambda model: channels(make_model(STACK)), "channels are of models with input: conv2d"),
    ],
)
def test_what_a_model_does_not_have_is_refused(change, message):
    model = make_model(CONV)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(SecateurError, match=message):
        change(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_command_writes_a_smaller_checkpoint_and_what_is_gone(tmp_path):
    write_corpus(tmp_path)
    config = CTC | {"input": "conv2d"}
    save_model(tmp_path / "model", make_model(config), config, TOKENS)
    data = ("--data", tmp_path / "data/en/dev", "--features", tmp_path / "features/en/dev")
    model = ("--model", tmp_path / "model", "--tokens", tmp_path / "tokens.txt", "--device", "cpu")
    sizes = {}
    for name in IMPORTANCES:
        given = ("--importance", name, "--share", 0.5, "--output", tmp_path / name)
        run_script("prune_channels", *model, *data, *given)
        told = read_json(tmp_path / name / "removed.json")
        less = load_model(tmp_path / name).model
        assert told["channels"] - len(told["removed"]) == len(channels(less))
        sizes[name] = (tmp_path / name / "model.safetensors").stat().st_size
    assert max(sizes.values()) < (tmp_path / "model/model.safetensors").stat().st_size
