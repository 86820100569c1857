"""Units of feed-forward networks: their importance, and exact removal, in small models and in a trained Whisper."""

import copy

import jiwer
import pytest
import soundfile
import torch
from letters import RATE, sentences, spoken
from small_models import CONFIGS, EVERY_CONFIG, HYBRID, TOKENS, make_batch, make_model
from tiny import run_script
from trained_hugging_face import FIXTURES

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv
from secateur.heads.parts import UNITS, importance, removed_at
from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.models.load import has_library_form, load_model, rebuild, smaller, whole
from secateur.models.surgery.heads import check_compaction, heads, made_up_batch, remove_heads
from secateur.models.surgery.layers import keep_layers, layer_numbers
from secateur.models.surgery.units import Unit, gated, keep_units, kept_units, masked, networks, remove_units, units
from secateur.speech.datadir import Utterance, write_data_dir
from secateur.speech.features import extract
from secateur.speech.front_ends import front_end
from secateur.speech.tokens import take_tokens

WHISPER = FIXTURES / "whisper"
BLOCKS = {
    "transformer": {"feed-forward"},
    "conformer": {"feed-forward", "macaron"},
    "hybrid": {"feed-forward", "decoder"},
    "emformer": {"feed-forward"},
}
GENERATE = '{"type": "generate", "batch": 10, "batch_frames": 100000, "beam": 1}'


def some(model):
    """About half of the units of every network, not the same ones everywhere."""
    return [unit for unit in units(model) if (unit.unit * 7 + unit.layer * 3) % 5 < 2]


@EVERY_CONFIG
@torch.no_grad()
def test_a_smaller_model_computes_what_the_masked_one_does_and_comes_back(config):
    model = make_model(config)
    name = next(name for name, one in CONFIGS.items() if one is config)
    assert {block for block, _ in networks(model)} == BLOCKS[name]
    gone = some(model)
    less = remove_units(copy.deepcopy(model), gone)
    batch = make_batch().tensors
    assert check_compaction(model, gone, less, batch, masking=masked) < 1e-5
    with pytest.raises(SecateurError, match="they were not removed exactly"):
        check_compaction(model, [], less, batch, masking=masked)
    before, after = (sum(value.numel() for value in one.parameters()) for one in (model, less))
    assert before - after == len(gone) * (2 * 24 + 1), "a row, a column and a bias each"
    kept = smaller(config, keep_layers(less, [2]))
    again = rebuild(kept, TOKENS)
    again.load_state_dict(less.state_dict(), strict=True)
    assert units(again) == [
        unit for unit in units(model) if unit not in gone and (unit.block == "decoder" or unit.layer == 2)
    ]
    assert "kept_units" not in smaller(config, model) and "kept_units" not in whole(kept)


def test_removing_twice_keeps_the_numbers():
    model = remove_units(make_model(HYBRID), [Unit("decoder", 2, 3), Unit("feed-forward", 1, 1)])
    remove_units(model, [Unit("decoder", 2, 4)])
    assert kept_units(model)["decoder"]["2"][:3] == [1, 2, 5] and kept_units(model)["feed-forward"].keys() == {"1"}


def test_the_importance_is_the_slope_by_finite_differences():
    """By the value of a gate: the mean over utterances of the absolute slope of each utterance's own loss."""
    model = make_model(HYBRID)
    found = importance(model, UNITS, "gradient", [make_batch()], seed=1)
    assert list(found) == units(model)
    step = 1e-2
    for network in (("feed-forward", 2), ("decoder", 1)):
        unit = max((one for one in found if one.group == network), key=found.__getitem__)
        slopes = []
        for number in range(4):
            losses = []
            for side in (1 + step, 1 - step):
                gate = torch.ones(networks(model)[network][0].out_features)
                gate[unit.unit - 1] = side
                with torch.no_grad(), gated(model, {network: gate}):
                    losses.append(float(model(**make_batch([number]).tensors)[0]))
            slopes.append(abs(losses[0] - losses[1]) / (2 * step))
        assert found[unit] == pytest.approx(sum(slopes) / 4, rel=0.02)


def test_the_magnitude_is_that_of_a_units_own_weights_and_of_every_network_the_same_share_goes():
    model = make_model(HYBRID)
    values = importance(model, UNITS, "magnitude", [], 1)
    up, down = networks(model)["decoder", 2]
    wanted = torch.cat([up.weight[4], down.weight[:, 4]]).detach().abs().mean()
    assert values[Unit("decoder", 2, 5)] == pytest.approx(float(wanted))
    gone = removed_at(values, UNITS, 0.25)
    for network, (up, _) in networks(model).items():
        order = sorted((one for one in values if one.group == network), key=values.__getitem__)
        assert [one for one in gone if one.group == network] == sorted(order[: up.out_features // 4])
    assert len(removed_at(values, UNITS, 1.0)) == len(values) - len(networks(model)), "one stays"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: remove_units(model, [Unit("decoder", 1, 999)]), "the model has no unit decoder 1.999"),
        (lambda model: remove_units(model, units(model)), "no unit of feed-forward 1 would be left"),
        (lambda model: keep_units(model, {"macaron": {"1": [1]}}), "the model has no network macaron 1; correct kept_"),
        (lambda model: importance(model, UNITS, "size", [], 1), "importance 'size' of units is unknown; choose"),
        (lambda model: removed_at({}, UNITS, 1.5), "a share of 1.5 of the units cannot be removed"),
    ],
)  # fmt: skip
def test_what_a_model_does_not_have_is_refused(change, message):
    model = make_model(HYBRID)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(SecateurError, match=message):
        change(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Speech, its features and tokens for the trained Whisper, and the model as a study has it."""
    folder, found = tmp_path_factory.mktemp("units"), formats.describe(WHISPER)
    take_tokens(folder, found.tokens, found.pieces)
    made = front_end(found.features)
    for split in ("dev", "test"):
        utterances = []
        for number, text in enumerate(sentences(split)):
            file = folder / f"{split}-{number:02d}.wav"
            soundfile.write(file, spoken(text, number), RATE)
            utterances.append(Utterance(f"{split}-{number:02d}", str(file), text, "s", "en", len(text) / 10))
        write_data_dir(folder / "data" / split, utterances)
        (folder / "features" / split).mkdir(parents=True)
        extract(folder / "data" / split, folder / "features" / split, made.width, front_end=made.compute)
    loaded = formats.load(WHISPER)
    save_model(folder / "dense", loaded.model, loaded.config, loaded.tokens)
    return folder


def hypotheses(corpus, model, output):
    run_script(
        "decode", "--model", model, "--data", corpus / "data/test", "--features", corpus / "features/test",
        "--tokens", corpus / "tokens.txt", "--languages", "en", "--search", GENERATE, "--device", "cpu",
        "--output", output,
    )  # fmt: skip
    return [row["hypothesis"] for row in read_tsv(output / "hypotheses.tsv")]


def test_feed_forward_units_of_a_trained_whisper_go_in_encoder_and_decoder(corpus, tmp_path):
    record = run_script(
        "prune_units", "--model", corpus / "dense", "--data", corpus / "data/dev",
        "--features", corpus / "features/dev", "--tokens", corpus / "tokens.txt", "--share", 0.4, "--device", "cpu",
        "--output", tmp_path / "less",
    )  # fmt: skip
    assert record["units"] == 4 * 64 and record["units_removed"] == 4 * 26 and record["difference"] < 1e-4
    less, dense = load_model(tmp_path / "less"), load_model(corpus / "dense")
    assert {network: up.out_features for network, (up, _) in networks(less.model).items()} == {
        ("feed-forward", number): 38 for number in (1, 2, 3, 4)
    }
    assert read_json(tmp_path / "less/removed.json")["units"] == 256
    heard, whole_heard = (
        hypotheses(corpus, folder, tmp_path / folder.name) for folder in (tmp_path / "less", corpus / "dense")
    )
    assert all(heard) and heard != whole_heard and len(set(heard)) > 10
    assert jiwer.wer(sentences("test"), heard) < 0.9
    assert has_library_form(dense) and not has_library_form(less)
    run_script("export_original", "--model", tmp_path / "less", "--source", WHISPER, "--output", tmp_path / "back")
    back = formats.load(tmp_path / "back")
    assert kept_units(back.model) == kept_units(less.model) and layer_numbers(back.model) == [1, 2, 3, 4]


def test_heads_and_units_of_whisper_go_together():
    model = formats.load(WHISPER).model
    gone, batch = some(model), made_up_batch(model)
    headless = remove_heads(copy.deepcopy(model), [head for head in heads(model) if head.head == 1])
    assert check_compaction(headless, gone, remove_units(copy.deepcopy(headless), gone), batch, masking=masked) < 1e-4
