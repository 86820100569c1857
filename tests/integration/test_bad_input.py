"""Bad models and arguments: the command that first reads them ends with one clear error (see test_bad_data)."""

import json
import os
import re

import pytest
import torch
from user_world import LETTERS, MODEL, TRAINING, Cases, call, never

from secateur.core.files import read_json, write_json, write_text
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.pruning.engines.mask import Mask
from secateur.speech.corpora import RECIPES

case = Cases()


def test_in_the_world_as_it_is_everything_works(world):
    assert call(*world.validate()) == 0
    assert call(*world.features()) == 0
    assert call(*world.train(steps=2)) == 0
    assert call(*world.decode("--mask", world.path("model/masks/all.safetensors"))) == 0
    assert read_json(
        world.path("decoded/run.json") if world.path("decoded/run.json").exists() else world.path("trained/model.json")
    )


# --- models


@case(r"model.json: no such file")
def a_folder_without_a_model(world):
    return world.decode("--model", world.path("data"))


@case(r"does not fit model.json")
def a_model_of_other_shapes(world):
    world.edit("model/model.json", lambda text: text.replace('"ffn": 32', '"ffn": 48'))
    return world.decode()


@case(r"model.json: not valid JSON")
def a_description_that_is_cut_off(world):
    world.edit("model/model.json", lambda text: text[: len(text) // 2])
    return world.decode()


@case(r"model.json: lacks 'config'")
def a_description_without_a_configuration(world):
    write_json(world.path("model/model.json"), {"format": 1})
    return world.decode()


@case(r"model.json: models of type 'oracle' are not known")
def a_model_of_an_unknown_type(world):
    world.edit("model/model.json", lambda text: text.replace('"type": "ctc"', '"type": "oracle"'))
    return world.decode()


@case(r"model.safetensors: encoder.* holds NaN or infinity")
def a_model_with_nan(world):
    model = build_model(MODEL, LETTERS)
    with torch.no_grad():
        model.encoder.encoders[0].feed_forward.w_1.weight[0, 0] = float("nan")
    save_model(world.path("model"), model, MODEL, LETTERS)
    return world.prune()


@case(r"model.safetensors: not a whole safetensors file")
def a_pickled_model(world):
    torch.save(build_model(MODEL, LETTERS).state_dict(), world.path("model/model.safetensors"))
    return world.decode()


@case(r"model.safetensors: not a whole safetensors file")
def a_model_that_is_cut_off(world):
    path = world.path("model/model.safetensors")
    path.write_bytes(path.read_bytes()[:-1000])
    return world.decode()


@case(r"model.safetensors: the checksum does not fit; the file is damaged")
def a_model_with_a_flipped_bit(world):
    content = bytearray(world.path("model/model.safetensors").read_bytes())
    content[-500] ^= 4
    world.path("model/model.safetensors").write_bytes(content)
    return world.prune()


@case(r"search ctc_greedy: the model has no CTC head; take a search that fits the type of the model")
def a_language_model_in_place_of_an_acoustic_one(world):
    return world.decode("--model", world.path("lm"))


@case(r"model: holds a model of type 'ctc', not a language model")
def an_acoustic_model_in_place_of_a_language_model(world):
    beam = {"type": "beam", "beam": 2, "ctc_weight": 0.3, "lm": "x", "lm_weight": 0.3, "length_bonus": 0.0}
    return world.decode("--lm", world.path("model"), search=beam)


@case(r"all.safetensors: the checksum does not fit")
def a_mask_with_a_flipped_bit(world):
    path = world.path("model/masks/all.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    return world.decode("--mask", path)


@case(r"mask of encoder.*: shape \(48, 16\) where the model has \(32, 16\)")
def a_mask_of_another_model(world):
    other = MODEL | {"encoder": MODEL["encoder"] | {"ffn": 48}}
    Mask.random(build_model(other, LETTERS), 0.5, 0).save(world.path("other.safetensors"))
    return world.decode("--mask", world.path("other.safetensors"))


@case(r"tokens.txt: not the token list of the model that training starts from")
def a_token_list_of_another_model(world):
    write_text(world.path("tokens/tokens.txt"), "\n".join(LETTERS[:-2] + LETTERS[-1:]) + "\n")
    return world.prune()


# --- what is asked for


@case(r"--sparsity 1.0: wanted the share of weights to remove, 0 to below 1")
def a_sparsity_of_one(world):
    return world.prune("--sparsity", "1")


@case(r"--sparsity -0.1: wanted the share of weights to remove")
def a_sparsity_below_zero(world):
    return world.prune("--sparsity", "-0.1")


@case(r"prunable.exclude: '\(' is not a regular expression")
def an_expression_that_is_none(world):
    return world.prune("--sparsity", "0.5", "--exclude", "(")


@case(r"prunable.include: 'attentoin' matches no weight")
def an_expression_that_matches_nothing(world):
    return world.prune("--sparsity", "0.5", "--include", "attentoin")


@case(r"fr/train/utt2num_frames: no such file")
def a_language_that_is_not_there(world):
    arguments = world.train()
    arguments[arguments.index("en")] = "fr"
    return arguments


@case(r"training\.steps: missing; it is required")
def a_training_that_lacks_a_key(world):
    arguments = world.train()
    place = arguments.index("--training") + 1
    arguments[place] = json.dumps({key: value for key, value in TRAINING.items() if key != "steps"})
    return arguments


@case(r"training\.warmup: -1; allowed: ≥ 0")
def a_training_with_a_value_out_of_bounds(world):
    return world.train(warmup=-1)


@case(r"training: nodes is 2, and several are only to be had in a SLURM job")
def several_nodes_on_one_machine(world):
    return world.train(nodes=2)


@pytest.fixture
def as_another_user():
    """What root does is done as a user who may read nothing here."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        yield
        os.seteuid(0)
    else:
        pytest.skip("only root can become another user")


def test_files_that_may_not_be_read_are_one_clear_error(world, as_another_user, capfd):
    """A folder of pytest's is for its user alone."""
    assert call(*world.train()) == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said and re.search(r"error: .*: Permission denied; mend its permissions", said), said


@pytest.mark.parametrize("script", ["train", "decode", "features"])
def test_a_folder_that_may_not_be_written_is_told_at_once(script, world, monkeypatch, capfd):
    """Root may write everywhere, so this is done as another user, who may read the world."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    for folder in [world.folder, *world.folder.parents]:
        if "pytest-of-" in str(folder):  # which are for pytest's user alone
            folder.chmod(0o755)
    arguments = getattr(world, script)()
    monkeypatch.setattr(torch.optim.AdamW, "step", never)
    for recipe in RECIPES.all().values():
        recipe.load()  # Python itself may lie where that user may not read
    os.seteuid(65534)
    try:
        status = call(*arguments)
    finally:
        os.seteuid(0)
    said = capfd.readouterr().err
    assert status == 1 and "Traceback" not in said and said.count("error: ") == 1
    assert re.search(r"error: .*world.*: could not be written \(Permission denied\); .* mend the permissions", said), (
        said
    )


@case(r"trained/.*: could not be written")
def a_file_in_the_place_of_the_output_folder(world):
    world.path("trained").write_text("")
    return world.train()


@case(r"search.*'oracle'")
def a_search_that_does_not_exist(world):
    return world.decode(search={"type": "oracle"})


@case(r"beam.*500")
def a_beam_wider_than_the_token_list(world):
    beam = {"type": "beam", "beam": 500, "ctc_weight": 0.3, "lm": None, "lm_weight": 0.3, "length_bonus": 0.0}
    return world.decode(search=beam)


@case(r"hypotheses.tsv: no such file")
def scores_of_nothing(world):
    return ["score", "--hypotheses", world.path("hypotheses.tsv"), "--output", world.path("scored")]


@case(r"hypotheses.tsv: lacks hypothesis, reference, utterance, or has no rows; decode again")
def scores_of_an_empty_file(world):
    world.path("hypotheses.tsv").write_text("")
    return ["score", "--hypotheses", world.path("hypotheses.tsv"), "--output", world.path("scored")]


@pytest.mark.parametrize("name", case)
def test_bad_input_is_one_clear_error(name, refused):
    refused(*case[name])
