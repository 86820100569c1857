"""Sub-models: what removing layers computes, and checkpoints of the shortened models."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tiny import CTC, GREEDY, NO_INNER_LOSS, TOKENS, hybrid, transducer, with_encoder

from secateur.core.errors import SecateurError
from secateur.core.files import write_json
from secateur.decoding.recognize import Recognizer, decode
from secateur.layers.export import export
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.surgery.layers import keep_layers, layer_numbers, read_depth
from secateur.speech.tokens import Tokenizer

TRANSFORMER = with_encoder(CTC, layers=5) | {"intermediate_ctc": {"layers": [2, 3], "weight": 0.4}}
CONFORMER = with_encoder(TRANSFORMER, type="conformer")
HYBRID = hybrid(TRANSFORMER)
EMFORMER = transducer(TRANSFORMER)
CONFIGS = pytest.mark.parametrize(
    "config",
    [TRANSFORMER, CONFORMER, HYBRID, EMFORMER],
    ids=["transformer", "conformer", "hybrid", "emformer"],
)
BEAM = {"type": "beam", "beam": 3, "ctc_weight": 0.4, "lm_weight": 0.0, "length_bonus": 0.5}
TRANSDUCER_BEAM = {
    "type": "transducer_beam",
    "beam": 3,
    "max_symbols": 2,
    "lm_weight": 0.0,
    "length_bonus": 3.0,
    "streaming": True,
}


def model(config, seed=1):
    torch.manual_seed(seed)
    built = build_model(config, TOKENS).eval()
    with torch.no_grad():
        # Else all frames are alike.
        built.ctc.ctc_lo.weight *= 10
        if config["type"] == "rnnt":
            built.joiner.output.weight *= 10
    return built


def batch():
    generator = torch.Generator().manual_seed(0)
    return {
        "speech": torch.randn(2, 60, 20, generator=generator),
        "speech_lengths": torch.tensor([60, 43]),
        "text": torch.tensor([[3, 2, 4], [5, 3, -1]]),
        "text_lengths": torch.tensor([3, 2]),
    }


def encode(model):
    tensors = batch()
    with torch.no_grad():
        return model.encode(tensors["speech"], tensors["speech_lengths"])


def output(model):
    encoder_out, _ = encode(model)
    return encoder_out[0] if isinstance(encoder_out, tuple) else encoder_out


def bypass(model, numbers):
    """Let layers of the whole model hand on their input."""
    for number in numbers:
        if hasattr(model.encoder, "after_norm"):
            model.encoder.encoders[number - 1].forward = lambda hidden, mask: (hidden, mask)
        else:
            model.encoder.encoders[number - 1].forward = lambda blocks, memory, *_: (blocks, memory, None)
    return model


@CONFIGS
@pytest.mark.parametrize("kept", [[1, 3, 5], [2, 4], [1, 2, 3], [4], [1, 2, 3, 4, 5]], ids=str)
def test_removing_layers_is_skipping_them(config, kept):
    skipping = bypass(model(config), {1, 2, 3, 4, 5} - set(kept))
    shortened = keep_layers(model(config), reversed(kept))
    assert len(shortened.encoder.encoders) == len(kept)
    assert layer_numbers(shortened) == kept
    assert torch.equal(output(shortened), output(skipping))
    assert torch.equal(output(shortened), output(model(config))) == (len(kept) == 5)


def test_a_truncated_model_has_the_head_of_intermediate_ctc():
    (_, inner), _ = encode(model(TRANSFORMER))
    assert [number for number, _ in inner] == [2, 3]
    for number, hidden in inner:
        assert torch.equal(output(keep_layers(model(TRANSFORMER), range(1, number + 1))), hidden)


def test_intermediate_ctc_stays_at_its_layers():
    """loss = (1−w)·L_ctc + w·mean_k L_ctc^(k) over those layers k that are left and are not the last."""
    tensors = batch()

    def ctc(kept):
        hidden, lengths = encode(keep_layers(model(TRANSFORMER | {"intermediate_ctc": NO_INNER_LOSS}), kept))
        logits = model(TRANSFORMER).ctc.ctc_lo(hidden).log_softmax(-1).transpose(0, 1)
        losses = torch.nn.functional.ctc_loss(
            logits, tensors["text"], lengths, tensors["text_lengths"], reduction="none", zero_infinity=True
        )
        return losses.sum() / 2

    def loss(kept):
        return keep_layers(model(TRANSFORMER), kept)(**batch())[0].squeeze()

    torch.testing.assert_close(loss([1, 2, 5]), 0.6 * ctc([1, 2, 5]) + 0.4 * ctc([1, 2]))
    torch.testing.assert_close(loss([2, 3, 4]), 0.6 * ctc([2, 3, 4]) + 0.4 * (ctc([2]) + ctc([2, 3])) / 2)
    torch.testing.assert_close(loss([1, 2]), ctc([1, 2]))
    torch.testing.assert_close(loss([1, 4, 5]), ctc([1, 4, 5]))


def test_layers_keep_their_number_and_rate():
    shortened = keep_layers(keep_layers(model(TRANSFORMER), [1, 3, 4, 5]), [3, 5])
    assert layer_numbers(shortened) == [3, 5]
    assert [layer.stochastic_depth_rate for layer in shortened.encoder.encoders] == pytest.approx([0.3, 0.5])
    assert shortened.encoder.interctc_layer_idx == [1]


@CONFIGS
def test_an_exported_checkpoint_gives_the_same_outputs(tmp_path, config):
    whole, kept = model(config), [2, 3, 5]
    save_model(tmp_path / "whole", whole, config, TOKENS)
    export(tmp_path / "whole", kept, tmp_path / "three")
    loaded = load_model(tmp_path / "three")
    shortened = keep_layers(whole, kept)
    assert torch.equal(output(loaded.model), output(shortened))
    assert torch.equal(loaded.model(**batch())[0], shortened(**batch())[0])
    assert layer_numbers(loaded.model) == kept
    assert loaded.config["encoder"] == config["encoder"] | {"kept": kept}
    if config is not EMFORMER:
        assert [layer.stochastic_depth_rate for layer in loaded.model.encoder.encoders] == [0.2, 0.3, 0.5]
    with safe_open(tmp_path / "three" / "model.safetensors", "pt") as stream:
        layers = {int(name.split(".")[2]) for name in stream.keys() if name.startswith("encoder.encoders.")}  # noqa: SIM118
    assert layers == {0, 1, 2}

    export(tmp_path / "three", [5, 2], tmp_path / "two")
    assert torch.equal(output(load_model(tmp_path / "two").model), output(keep_layers(whole, [2, 5])))


@CONFIGS
def test_an_exported_checkpoint_gives_the_same_hypotheses(tmp_path, config):
    whole, kept = model(config), [1, 3, 4]
    save_model(tmp_path / "whole", whole, config, TOKENS)
    exported = export(tmp_path / "whole", kept, tmp_path / "three").model
    generator = np.random.default_rng(0)
    features = {name: generator.standard_normal((frames, 20), np.float32) for name, frames in [("u", 61), ("v", 45)]}

    def hypotheses(model, search):
        results = decode(Recognizer(model, Tokenizer(TOKENS)), features, search)
        return [result.hypothesis for result in results.values()]

    for search in [TRANSDUCER_BEAM] if config is EMFORMER else [GREEDY, BEAM]:
        before = hypotheses(whole, search)
        on_demand = hypotheses(keep_layers(load_model(tmp_path / "whole").model, kept), search)
        assert on_demand == hypotheses(exported, search) == hypotheses(load_model(tmp_path / "three").model, search)
        assert all(on_demand)
        assert on_demand != before


def test_a_shortened_model_streams():
    """Segment by segment it computes what it does with whole utterances."""
    shortened = keep_layers(model(EMFORMER), [1, 4, 5])
    speech, stream = batch()["speech"][:1], shortened.stream()
    with torch.no_grad():
        parts = [*(stream.accept(chunk) for chunk in speech[0].split(7)), stream.finish()]
        torch.testing.assert_close(torch.cat(parts, dim=1), shortened.encode(speech, torch.tensor([60]))[0])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "no encoder layer would be left; keep at least one of 1, 2, 3, 4, 5"),
        ([0, 1], "the model has no encoder layer 0; choose from 1, 2, 3, 4, 5"),
        ([1, 6], "the model has no encoder layer 6; choose from 1, 2, 3, 4, 5"),
        ([2, 2], "encoder layer 2 is named 2 times; name each layer once"),
    ],
)
def test_wrong_layers_are_refused(layers, message):
    whole = model(TRANSFORMER)
    with pytest.raises(SecateurError, match=message):
        keep_layers(whole, layers)
    assert layer_numbers(whole) == [1, 2, 3, 4, 5]


def test_a_removed_layer_cannot_come_back():
    with pytest.raises(SecateurError, match="no encoder layer 2; choose from 1, 3"):
        keep_layers(keep_layers(model(TRANSFORMER), [1, 3]), [1, 2])


def test_a_model_without_encoder_layers_is_refused():
    with pytest.raises(SecateurError, match="Linear: the model has no stack of encoder layers"):
        keep_layers(torch.nn.Linear(1, 1), [1])


def test_the_layers_of_a_depth_are_read_from_a_search(tmp_path):
    file = tmp_path / "layers.json"
    write_json(file, {"depths": {"2": {"layers": [1, 4]}, "10": {"layers": list(range(1, 11))}}})
    assert read_depth(file, 2).layers == (1, 4)
    for depth in (0, 3, 11):
        with pytest.raises(SecateurError, match=rf"layers.json: no depth {depth}; choose from 2, 10"):
            read_depth(file, depth)
    with pytest.raises(SecateurError, match=r"missing.json: no such file"):
        read_depth(tmp_path / "missing.json", 2)


def test_the_weights_of_another_sub_model_do_not_load(tmp_path):
    save_model(tmp_path, model(TRANSFORMER), TRANSFORMER, TOKENS)
    export(tmp_path, [1, 2], tmp_path / "two")
    description = json.loads((tmp_path / "two" / "model.json").read_text())
    description["config"]["encoder"]["kept"] = [1, 2, 3]
    (tmp_path / "two" / "model.json").write_text(json.dumps(description))
    with pytest.raises(SecateurError, match=r"model.safetensors does not fit model.json"):
        load_model(tmp_path / "two")
