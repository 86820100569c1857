"""A hybrid model without layers of its attention decoder computes what the whole one does when these are skipped."""

import copy

import pytest
import torch
from tiny import CTC, TOKENS, hybrid, run_script

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.decoding.recognize import Recognizer, decode
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model, smaller
from secateur.models.surgery.heads import Head, heads, made_up_batch, remove_heads
from secateur.models.surgery.layers import Kept, keep_layers, layer_numbers, only, read_depths
from secateur.models.surgery.units import networks
from secateur.models.types import DECODER
from secateur.speech.tokens import Tokenizer

CONFIG = hybrid(CTC, layers=4)
BEAM = {"type": "beam", "beam": 3, "ctc_weight": 0.2, "lm": None, "lm_weight": 0.0, "length_bonus": 0.0}


def model():
    torch.manual_seed(1)
    built = build_model(CONFIG, TOKENS).eval()
    with torch.no_grad():
        built.decoder.output_layer.weight *= 10
    return built


@torch.no_grad()
def outputs(model):
    """The decoder's logits and the loss of two made-up utterances."""
    batch = made_up_batch(model)
    encoder_out, lengths = model.encode(batch["speech"], batch["speech_lengths"])
    encoder_out = encoder_out[0] if isinstance(encoder_out, tuple) else encoder_out
    logits = model.decoder(encoder_out, lengths, batch["text"], batch["text_lengths"])[0]
    return encoder_out, logits, model(**batch)[0]


def hypotheses(model):
    generator = torch.Generator().manual_seed(3)
    features = {f"u{n}": torch.randn(60 + 20 * n, 20, generator=generator).numpy() for n in range(4)}
    found = decode(Recognizer(model, Tokenizer(TOKENS)), features, BEAM)
    return {name: one.hypothesis for name, one in found.items()}


def skipping(model, layers):
    """The model, where these layers of the decoder hand on what they are given."""

    def hand_on(_, arguments, __):
        return arguments

    for number, layer in enumerate(model.decoder.decoders, 1):
        if number in layers:
            layer.register_forward_hook(hand_on)
    return model


@pytest.mark.parametrize("kept", [[1, 2, 3], [2, 4], [3]], ids=str)
def test_removed_layers_are_those_that_hand_on_what_they_are_given(kept):
    expected = outputs(skipping(model(), set(range(1, 5)) - set(kept)))
    found = outputs(keep_layers(model(), reversed(kept), DECODER))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    whole = outputs(model())
    assert torch.equal(found[0], whole[0]) and not torch.allclose(found[1], whole[1])
    temporary = model()
    with only(temporary, kept, DECODER):
        assert all(torch.equal(one, other) for one, other in zip(outputs(temporary), expected, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(outputs(temporary), whole, strict=True))


def test_beam_search_hears_the_same_on_demand_and_from_a_checkpoint(tmp_path):
    save_model(tmp_path / "whole", model(), CONFIG, TOKENS)
    write_json(tmp_path / "layers.json", {"of": "decoder", "depths": {"2": {"layers": [1, 4]}}})
    assert run_script(
        *("export_depth", "--model", tmp_path / "whole", "--layers", tmp_path / "layers.json", "--depth", 2),
        *("--output", tmp_path / "two"),
    ) == {"layers": [1, 4], "of": "decoder"}
    run_script(
        *("export_depth", "--model", tmp_path / "whole", "--keep", 4, 1, "--of", "decoder"),
        *("--output", tmp_path / "named"),
    )
    kept = read_depths(tmp_path / "layers.json")[2]
    on_demand = hypotheses(kept.apply_(load_model(tmp_path / "whole").model))
    for folder in ("two", "named"):
        loaded = load_model(tmp_path / folder)
        assert layer_numbers(loaded.model, DECODER) == [1, 4] and layer_numbers(loaded.model) == [1, 2, 3]
        assert hypotheses(loaded.model) == on_demand
    assert on_demand != hypotheses(model())
    with pytest.raises(SecateurError, match="--of goes with --keep"):
        run_script(
            *("export_depth", "--model", tmp_path / "whole", "--layers", tmp_path / "layers.json", "--depth", 2),
            *("--of", "decoder", "--output", tmp_path / "two"),
        )


def test_numbers_stay_those_of_the_whole_model(tmp_path):
    shallow = keep_layers(keep_layers(model(), [1, 3, 4], DECODER), [3, 4], DECODER)
    assert [head.layer for head in heads(shallow) if head.block == "decoder-source"] == [3, 3, 4, 4]
    assert [layer for block, layer in networks(shallow) if block == DECODER] == [3, 4]
    remove_heads(shallow, [Head("decoder-source", 4, 1), Head("decoder-self", 3, 2)])
    config = smaller(CONFIG, shallow)
    save_model(tmp_path / "fewer", shallow, config, TOKENS)
    loaded = load_model(tmp_path / "fewer").model
    assert heads(loaded) == heads(shallow) and layer_numbers(loaded, DECODER) == [3, 4]
    for one, other in zip(outputs(loaded), outputs(shallow), strict=True):
        assert torch.equal(one, other)
    again = smaller(config, keep_layers(copy.deepcopy(loaded), [4], DECODER))  # heads of layer 3 may still be listed
    save_model(tmp_path / "one", keep_layers(loaded, [4], DECODER), again, TOKENS)
    assert layer_numbers(load_model(tmp_path / "one").model, DECODER) == [4]
    assert read_json(tmp_path / "one" / "model.json")["config"]["decoder"]["kept"] == [4]


def test_the_name_of_a_sub_model_says_what_it_keeps():
    for kept, name in ((Kept((1, 2, 5)), "1,2,5"), (Kept((1, 3), DECODER), "decoder 1,3")):
        assert kept.name == name and Kept.named(name) == kept


def test_what_has_no_such_layers_is_refused():
    with pytest.raises(SecateurError, match="no decoder layer would be left; keep at least one of 1, 2, 3, 4"):
        keep_layers(model(), [], DECODER)
    with pytest.raises(SecateurError, match="the model has no decoder layer 5"):
        keep_layers(model(), [5], DECODER)
    with pytest.raises(SecateurError, match="ESPnetASRModel: has no attention decoder whose layers have numbers"):
        keep_layers(build_model(CTC, TOKENS), [1], DECODER)
