"""Heads: what removing them computes, checkpoints of the smaller models, decoding, training and pruning on."""

import copy
import json
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import (
    CONFIGS,
    CONFORMER,
    EMFORMER,
    EVERY_CONFIG,
    HYBRID,
    TOKENS,
    TRANSFORMER,
    make_batch,
    make_model,
    speech,
)

from secateur.core.errors import SecateurError
from secateur.decoding.recognize import Recognizer, decode
from secateur.heads.order import removal_order
from secateur.layers.export import export
from secateur.models import load
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.size import size
from secateur.models.surgery.heads import (
    Head,
    attentions,
    check_compaction,
    gated,
    heads,
    keep_heads,
    made_up_batch,
    masked,
    remove_heads,
)
from secateur.models.surgery.layers import keep_layers, layer_numbers
from secateur.speech.tokens import Tokenizer

GREEDY = {"type": "ctc_greedy", "batch": 2, "batch_frames": 2000}
BEAM = {"type": "beam", "beam": 3, "ctc_weight": 0.4, "lm_weight": 0.0, "length_bonus": 0.5}
TRANSDUCER_BEAM = {
    "type": "transducer_beam",
    "beam": 3,
    "max_symbols": 2,
    "lm_weight": 0.0,
    "length_bonus": 3.0,
    "streaming": True,
}
LM = {"type": "transformer_lm", "embedding": 8, "dim": 16, "heads": 2, "ffn": 16, "layers": 1, "dropout": 0.0}
MODELS = {name: make_model(config) for name, config in CONFIGS.items()}


def hypotheses(model, search, lm=None):
    features = {str(number): speech(number).numpy() for number in range(3)}
    results = decode(Recognizer(model, Tokenizer(TOKENS), lm=lm), features, search)
    return [result.hypothesis for result in results.values()]


def some(model, seed, share=0.5):
    present = heads(model)
    return random.Random(seed).sample(present, round(share * len(present)))


def smaller(model, removed):
    return remove_heads(copy.deepcopy(model), removed)


def test_the_heads_of_a_model_are_named():
    model = make_model(HYBRID)
    blocks = [("encoder-self", 3, 3), ("decoder-self", 2, 2), ("decoder-source", 2, 2)]
    expected = [
        Head(block, layer, head)
        for block, layers, count in blocks
        for layer in range(1, layers + 1)
        for head in range(1, count + 1)
    ]
    assert heads(model) == expected
    assert heads(keep_layers(model, [1, 3]))[3:6] == [Head("encoder-self", 3, head) for head in (1, 2, 3)]
    assert len(heads(make_model(EMFORMER))) == 9


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_compacted_is_masked_for_any_heads(name, data):
    """Outputs and loss agree, on a padded batch, and there are exactly the parameters that should be left."""
    model = MODELS[name]
    removed = data.draw(st.sets(st.sampled_from(heads(model))))
    compacted = smaller(model, removed)
    tensors = make_batch().tensors
    assert check_compaction(model, removed, compacted, tensors, 1e-5) < 1e-5
    assert heads(compacted) == [head for head in heads(model) if head not in removed]

    expected = sum(parameter.numel() for parameter in model.parameters())
    for key, attention in attentions(model).items():
        gone = len([head for head in removed if head.attention == key])
        module = attention.module
        per_head = 4 * module.d_k * 24 + 3 * module.d_k  # four matrices, three biases
        if name == "conformer":
            per_head += module.d_k * 24 + 2 * module.d_k  # positions
        if name == "emformer":
            per_head += module.distance_bias.shape[1]
        expected -= gone * per_head
        if gone == module.h:
            expected -= 24 + 2 * 24  # the output's bias, the norm
    assert sum(parameter.numel() for parameter in compacted.parameters()) == expected


@EVERY_CONFIG
def test_masking_leaves_nothing_behind(config):
    model, tensors = make_model(config), make_batch().tensors
    before = model(**tensors)[0]
    with masked(model, some(model, 1)):
        assert not torch.allclose(model(**tensors)[0], before)
    assert torch.equal(model(**tensors)[0], before)


@EVERY_CONFIG
def test_without_heads_the_residual_path_is_left(config):
    """Not even the bias of attention's output is added; nothing of it is computed, and the norm is gone."""
    model = make_model(config)
    for (block, _), attention in attentions(model).items():
        torch.nn.init.normal_(attention.module.linear_out.bias)
        assert block
    removed = heads(model)
    compacted = smaller(model, removed)
    check_compaction(model, removed, compacted, make_batch().tensors, 1e-5)
    assert heads(compacted) == []
    names = [name for name, _ in compacted.named_parameters()]
    gone = ("attn", "attention", "norm1", "norm_mha") if config is not HYBRID else ("attn", "norm1", "norm2")
    stays = "encoder.encoders"  # the norm2 of an encoder layer is the feed-forward network's
    assert not [
        name for name in names if any(part in name for part in gone) and not ("norm2" in name and stays in name)
    ]


def test_a_wrong_compaction_is_noticed():
    model = make_model(TRANSFORMER)
    first, second = Head("encoder-self", 1, 1), Head("encoder-self", 1, 2)
    with pytest.raises(SecateurError, match="encoder output of the compacted model is off the masked one's"):
        check_compaction(model, [first], smaller(model, [second]), make_batch().tensors)
    broken = smaller(model, [first])
    with torch.no_grad():
        broken.encoder.after_norm.bias[0] = torch.nan
    with pytest.raises(SecateurError, match="off the masked one's by nan"):
        check_compaction(model, [first], broken, make_batch().tensors)


@EVERY_CONFIG
def test_made_up_speech_suits_the_model(config):
    model = make_model(config)
    model.frontend.mean += 3.0
    model.frontend.std *= 2.0
    tensors = made_up_batch(model, (400, 300))
    torch.testing.assert_close(tensors["speech"].mean(), torch.tensor(3.0), atol=0.1, rtol=0)
    torch.testing.assert_close(tensors["speech"].std(), torch.tensor(2.0), atol=0.1, rtol=0)
    assert tensors["text"].min() >= 1 and tensors["text"].max() < len(TOKENS) - 1
    assert torch.isfinite(model(**tensors)[0])


@EVERY_CONFIG
def test_a_checkpoint_of_a_smaller_model_loads_strictly(config, tmp_path):
    model = make_model(config)
    removed = some(model, 2) + [head for head in heads(model) if head.attention == ("encoder-self", 2)]
    compacted = smaller(model, set(removed))
    save_model(tmp_path, compacted, load.smaller(config, compacted), TOKENS)
    loaded = load_model(tmp_path)
    assert heads(loaded.model) == heads(compacted)
    assert torch.equal(loaded.model(**make_batch().tensors)[0], compacted(**make_batch().tensors)[0])
    assert json.loads((tmp_path / "model.json").read_text())["config"]["kept_heads"]["encoder-self"]["2"] == []

    description = json.loads((tmp_path / "model.json").read_text())
    description["config"]["kept_heads"]["encoder-self"]["2"] = [1]
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(SecateurError, match="does not fit"):
        load_model(tmp_path)


@EVERY_CONFIG
def test_heads_and_layers_in_either_order(config, tmp_path):
    """Both orders give the same model, on disk too, and heads can go in several steps."""
    model, layers = make_model(config), [1, 3]
    removed = [Head("encoder-self", 1, 2), Head("encoder-self", 2, 1), *(Head("encoder-self", 3, n) for n in (1, 2, 3))]
    save_model(tmp_path / "whole", model, config, TOKENS)
    heads_first = smaller(model, removed)
    save_model(tmp_path / "heads", heads_first, load.smaller(config, heads_first), TOKENS)
    export(tmp_path / "heads", layers, tmp_path / "heads-layers")

    export(tmp_path / "whole", layers, tmp_path / "layers")
    loaded = load_model(tmp_path / "layers")
    for head in [head for head in removed if head.layer in layers]:
        remove_heads(loaded.model, [head])
    save_model(tmp_path / "layers-heads", loaded.model, load.smaller(loaded.config, loaded.model), TOKENS)

    one, other = load_model(tmp_path / "heads-layers").model, load_model(tmp_path / "layers-heads").model
    assert layer_numbers(one) == layer_numbers(other) == layers
    assert heads(one) == heads(other) == heads(loaded.model)
    assert torch.equal(one(**make_batch().tensors)[0], other(**make_batch().tensors)[0])
    assert [head.head for head in heads(one) if head.attention == ("encoder-self", 1)] == [1, 3]


def test_a_smaller_models_configuration_is_that_of_the_whole_and_what_it_has_left(tmp_path):
    """By hand, and back; once more smaller, it says what is left then."""
    compacted = smaller(make_model(HYBRID), [Head("encoder-self", 2, 1), Head("decoder-self", 1, 2)])
    config = load.smaller(HYBRID, keep_layers(compacted, [2, 3]))
    every = list(range(1, HYBRID["encoder"]["heads"] + 1))
    assert config["encoder"] == HYBRID["encoder"] | {"kept": [2, 3]}
    assert config["kept_heads"]["encoder-self"] == {"2": every[1:], "3": every}
    assert 2 not in config["kept_heads"]["decoder-self"]["1"] and 1 in config["kept_heads"]["decoder-self"]["1"]
    assert load.whole(config) == load.whole(HYBRID) == HYBRID
    assert load.smaller(config, keep_layers(compacted, [3]))["encoder"]["kept"] == [3]


def test_the_rest_of_the_model_survives():
    compacted = smaller(make_model(CONFORMER), [Head("encoder-self", 2, n) for n in (1, 2, 3)])
    rates = [layer.stochastic_depth_rate for layer in compacted.encoder.encoders]
    assert rates == pytest.approx([0.5 / 3, 1 / 3, 0.5])
    assert compacted.encoder.interctc_layer_idx == [2]
    # An utterance's output depends neither on its batch nor on its padding.
    together, lengths = compacted.encode(*list(make_batch().tensors.values())[:2])
    for number in range(4):
        alone, _ = compacted.encode(*list(make_batch([number]).tensors.values())[:2])
        torch.testing.assert_close(together[0][number, : lengths[number]], alone[0][0], atol=1e-5, rtol=1e-4)


def test_stochastic_depth_skips_layers_without_attention():
    """With the random choices the same, training mode computes the same in a masked and a compacted layer."""
    config = TRANSFORMER | {"encoder": TRANSFORMER["encoder"] | {"dropout": 0.0}, "stochastic_depth": 0.9}
    config["intermediate_ctc"] = {"layers": [], "weight": 0.0}
    model = make_model(config)
    removed = [Head("encoder-self", 3, n) for n in (1, 2, 3)] + [Head("encoder-self", 1, 1)]
    compacted, seen = smaller(model, removed), set()
    for seed in range(6):
        with masked(model.train(), removed):
            torch.manual_seed(seed)
            expected = model(**make_batch().tensors)[0]
        torch.manual_seed(seed)
        torch.testing.assert_close(compacted.train()(**make_batch().tensors)[0], expected, rtol=1e-4, atol=1e-4)
        seen.add(round(expected.item(), 3))
    assert len(seen) > 1


@EVERY_CONFIG
@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_decoding_a_smaller_model_is_decoding_the_masked_one(config, share):
    """Greedy, and beam search, in which ESPnet's decoder keeps caches, with and without a language model."""
    model = make_model(config)
    removed = some(model, 5, share)
    compacted = smaller(model, removed)
    torch.manual_seed(0)
    lm = build_model(LM, TOKENS).eval().lm
    search = TRANSDUCER_BEAM if config["type"] == "rnnt" else BEAM
    runs = [(search, None), (search | {"lm": "lm", "lm_weight": 0.5}, lm)]
    if config["type"] != "rnnt":
        runs.append((GREEDY, None))
    for options, scorer in runs:
        with masked(model, removed):
            expected = hypotheses(model, options, scorer)
        assert hypotheses(compacted, options, scorer) == expected
        assert any(expected)
    assert hypotheses(model, *runs[0]) != hypotheses(compacted, *runs[0])


def test_a_smaller_model_streams():
    model = make_model(EMFORMER)
    compacted = smaller(model, [Head("encoder-self", 2, n) for n in (1, 2, 3)] + [Head("encoder-self", 1, 3)])
    features, stream = speech(0), compacted.stream()
    with torch.no_grad():
        parts = [*(stream.accept(chunk) for chunk in features.split(7)), stream.finish()]
        whole = compacted.encode(features[None], torch.tensor([len(features)]))[0]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)


@EVERY_CONFIG
def test_a_smaller_model_trains(config):
    """All of its parameters get gradients, and a step on them lowers the loss."""
    model = remove_heads(
        make_model(config), [Head("encoder-self", 1, n) for n in (1, 2, 3)] + [Head("encoder-self", 2, 2)]
    )
    parameters = list(model.parameters())
    loss = model(**make_batch().tensors)[0]
    gradients = torch.autograd.grad(loss.sum(), parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= 1e-5 * gradient
    assert model(**make_batch().tensors)[0] < loss


@EVERY_CONFIG
def test_parameters_and_arithmetic_fall_with_every_head(config):
    model = make_model(config)
    order = removal_order("by-layer", {head: index % 3 + 1.0 for index, head in enumerate(heads(model))})
    sizes = [size(smaller(model, order[:count]), 20) for count in range(len(order) + 1)]
    for head, before, after in zip(order, sizes, sizes[1:], strict=False):
        assert after["parameters"] < before["parameters"]
        # What is counted is the encoder's.
        assert (after["macs_per_second"] < before["macs_per_second"]) == (head.block == "encoder-self")


def test_gates_scale_each_head_of_each_utterance():
    """A gate of 2 on one head of one utterance doubles what that head adds there, and nothing else changes."""
    model = make_model(
        TRANSFORMER
        | {"encoder": TRANSFORMER["encoder"] | {"layers": 1}, "intermediate_ctc": {"layers": [], "weight": 0}}
    )
    attention = attentions(model)["encoder-self", 1].module
    outputs = []
    hook = attention.register_forward_hook(lambda _, __, output: outputs.append(output.detach()))
    tensors = make_batch().tensors

    def run(gates):
        with gated(model, {("encoder-self", 1): gates}):
            model.encode(tensors["speech"], tensors["speech_lengths"])
        return outputs.pop()

    plain, without = run(torch.ones(4, 3)), run(torch.tensor([1.0, 0.0, 1.0]))
    gates = torch.ones(4, 3)
    gates[2, 1] = 2.0
    doubled = run(gates)
    hook.remove()
    torch.testing.assert_close(doubled[2] - plain[2], plain[2] - without[2], atol=1e-5, rtol=1e-4)
    assert torch.equal(doubled[[0, 1, 3]], plain[[0, 1, 3]])


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (Head("encoder-self", 4, 1), "the model has no head encoder-self 4.1"),
        (Head("encoder-self", 1, 4), "the model has no head encoder-self 1.4"),
        (Head("decoder-self", 1, 1), "the model has no head decoder-self 1.1"),
        (Head("encoder-self", 2, 2), "the model has no head encoder-self 2.2; it may be gone already"),
    ],
)
def test_heads_that_are_not_there_are_refused(head, message):
    model = remove_heads(make_model(TRANSFORMER), [Head("encoder-self", 2, 2)])
    before = heads(model)
    with pytest.raises(SecateurError, match=message):
        remove_heads(model, [Head("encoder-self", 1, 1), head])
    with pytest.raises(SecateurError, match=message), masked(model, [head]):
        pass
    assert heads(model) == before


def test_a_wrong_list_of_kept_heads_is_refused():
    with pytest.raises(SecateurError, match="no attention decoder-self 1; correct kept_heads"):
        keep_heads(make_model(TRANSFORMER), {"decoder-self": {"1": [1]}})
    with pytest.raises(SecateurError, match=r"no head encoder-self 1\.7"):
        keep_heads(make_model(TRANSFORMER), {"encoder-self": {"1": [1, 7]}})


def test_smaller_models_take_less_memory():
    model = make_model(TRANSFORMER)
    whole, none = size(model, 20), size(smaller(model, heads(model)), 20)
    assert none["peak_memory"] < whole["peak_memory"]
    assert np.isclose(whole["macs_per_second"], none["macs_per_second"] + attention_macs(334, 24, 3) / 10, rtol=1e-6)


def attention_macs(frames, dim, layers):
    """Four projections, and the scores and sums of 334 frames (1000 stacked by 3)."""
    return layers * (4 * frames * dim * dim + 2 * frames * frames * dim)
