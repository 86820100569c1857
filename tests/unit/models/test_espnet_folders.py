"""ESPnet folders: what ESPnet's own classes make of them is what this project makes of them.

`tests/reference/espnet` has small models that ESPnet trained and packed, the speech, and what `Speech2Text` heard.
"""

import copy
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny
import torch
import yaml

from secateur.core.errors import SecateurError
from secateur.decoding.onnx import export_onnx
from secateur.decoding.recognize import Recognizer, decode
from secateur.decoding.scoring import score
from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.models.formats.espnet import config_file
from secateur.models.load import rebuild, smaller
from secateur.models.surgery.heads import check_compaction, heads, made_up_batch, remove_heads
from secateur.models.surgery.layers import keep_layers
from secateur.models.types import DECODER
from secateur.pruning.engines.ranking import magnitude_mask
from secateur.speech.datadir import read_table
from secateur.speech.front_ends import front_end
from secateur.speech.tokens import Tokenizer, take_tokens
from secateur.training.regularise import regularised

REFERENCE = Path(__file__).parents[2] / "reference" / "espnet"
KINDS = ("transformer-ctc", "conformer-hybrid", "e-branchformer-bpe", "conformer-transducer")
WITH_CTC = KINDS[:3]
GREEDY = {"type": "ctc_greedy", "batch": 8, "batch_frames": 4000}
BEAM = {"type": "beam", "beam": 4, "ctc_weight": 0.3, "lm_weight": 0.0, "length_bonus": 0.0}
SEARCHES = {"greedy": GREEDY, "beam": BEAM, "beam-lm": BEAM | {"lm": "lm", "lm_weight": 0.4, "length_bonus": 0.1}}
TRANSDUCER = {"type": "transducer_espnet", "algorithm": "default", "lm_weight": 0.0}
TEXTS = {
    name: text
    for split in ("train", "dev", "test")
    for name, text in read_table(REFERENCE / "speech" / split / "text").items()
}


@pytest.fixture(scope="module")
def loaded():
    return {kind: formats.load(REFERENCE / kind) for kind in KINDS}


@pytest.fixture(scope="module")
def features():
    found = {}
    for kind in KINDS:
        compute = front_end(formats.describe(REFERENCE / kind).features).compute
        found[kind] = {
            name: compute(soundfile.read(REFERENCE / f"speech/wav/{name}.flac", dtype="float32")[0]) for name in TEXTS
        }
    return found


def expected(kind: str) -> dict:
    return json.loads((REFERENCE / kind / "expected.json").read_text())


def said_by(answer: dict) -> dict[str, dict[str, str]]:
    """What `Speech2Text` heard by search, without the end of the sentence, which it sometimes spells out."""
    return {
        search: {name: " ".join(text.replace("<sos/eos>", "").split()) for name, text in heard.items()}
        for search, heard in answer["hypotheses"].items()
    }


def theirs(kind: str, search: str) -> dict[str, str]:
    return said_by(expected(kind))[search]


def tokenizer(kind: str, folder: Path) -> Tokenizer:
    found = formats.describe(REFERENCE / kind)
    take_tokens(folder, found.tokens, found.pieces)
    return Tokenizer.load(folder / "tokens.txt")


def heard(model, kind: str, features, search: dict, folder: Path, lm=None) -> dict[str, str]:
    results = decode(Recognizer(model, tokenizer(kind, folder), lm=lm), features[kind], search)
    return {name: result.hypothesis for name, result in results.items()}


def wer(hypotheses: dict[str, str]) -> float:
    found = score(TEXTS, hypotheses)
    return 100 * sum(item.errors for item in found) / sum(item.words for item in found)


@pytest.mark.parametrize("kind", KINDS)
def test_features_and_encoder_output_are_those_of_espnets_classes(kind, loaded, features):
    numbers, first = expected(kind)["numbers"], next(iter(TEXTS))
    matrix = features[kind][first]
    assert len(matrix) == numbers["frames"]
    raw = matrix
    if formats.describe(REFERENCE / kind).features["utterance_mvn"]:  # ESPnet normalises after its front end
        options = dict(formats.describe(REFERENCE / kind).features) | {"utterance_mvn": None}
        raw = front_end(options).compute(soundfile.read(REFERENCE / f"speech/wav/{first}.flac", dtype="float32")[0])
    shown = raw[:: max(1, len(raw) // 5), ::10]
    np.testing.assert_allclose(shown, np.array(numbers["features"]), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        hidden, _ = loaded[kind].model.encode(torch.from_numpy(matrix)[None], torch.tensor([len(matrix)]))
    hidden = hidden[0] if isinstance(hidden, tuple) else hidden
    np.testing.assert_allclose(hidden[0, ::5, ::8], np.array(numbers["encoder"]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", WITH_CTC)
@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_hypotheses_are_those_of_speech2text(kind, search, loaded, features, tmp_path):
    found = heard(loaded[kind].model, kind, features, SEARCHES[search], tmp_path)
    assert found == theirs(kind, search)
    assert len(set(found.values())) > 20 and wer(found) < 90, "the model has learned something"


def test_hypotheses_with_its_language_model_are_those_of_speech2text(loaded, features, tmp_path):
    kind = "conformer-hybrid"
    lm = formats.load(REFERENCE / kind, "language_models").model.lm
    found = heard(loaded[kind].model, kind, features, SEARCHES["beam-lm"], tmp_path, lm)
    assert found == theirs(kind, "beam-lm")


@pytest.mark.parametrize(("search", "beam"), [("greedy", 1), ("beam", 4)])
def test_hypotheses_of_a_transducer_are_those_of_speech2text(search, beam, loaded, features, tmp_path):
    kind = "conformer-transducer"
    found = heard(loaded[kind].model, kind, features, TRANSDUCER | {"beam": beam}, tmp_path)
    assert found == theirs(kind, search)
    assert len(set(found.values())) > 20 and wer(found) < 90


@pytest.mark.parametrize("kind", KINDS)
def test_an_utterance_does_not_depend_on_the_others_in_its_batch(kind, loaded, features):
    matrices = [torch.from_numpy(matrix) for matrix in list(features[kind].values())[:3]]
    speech = torch.nn.utils.rnn.pad_sequence(matrices, batch_first=True, padding_value=3.0)
    lengths = torch.tensor([len(matrix) for matrix in matrices])
    model = loaded[kind].model
    with torch.no_grad():
        together, frames = model.encode(speech, lengths)
        together = together[0] if isinstance(together, tuple) else together
        for row, matrix in enumerate(matrices):
            alone, length = model.encode(matrix[None], torch.tensor([len(matrix)]))
            alone = alone[0] if isinstance(alone, tuple) else alone
            assert frames[row] == length[0]
            torch.testing.assert_close(together[row, : length[0]], alone[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_checkpoint_of_a_study_rebuilds_it(kind, loaded):
    one = loaded[kind]
    again = rebuild(json.loads(json.dumps(one.config)), one.tokens)
    again.load_state_dict(one.model.state_dict(), strict=True)


@pytest.mark.parametrize("kind", KINDS)
def test_masks_change_what_is_heard_and_training_reaches_every_weight(kind, loaded, features, tmp_path):
    model = copy.deepcopy(loaded[kind].model)
    search = GREEDY if kind in WITH_CTC else TRANSDUCER | {"beam": 1}
    before = heard(model, kind, features, search, tmp_path)
    magnitude_mask(model, sparsity=0.8).apply_(model)
    assert heard(model, kind, features, search, tmp_path) != before
    model = copy.deepcopy(loaded[kind].model).train()
    loss, _, weight = model(**made_up_batch(model))
    assert weight == 2
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_heads_go_exactly_all_of_a_layers_too(kind, loaded):
    whole = loaded[kind].model
    found = heads(whole)
    layers = {head.attention for head in found}
    assert {head.block for head in found} >= {"encoder-self"}
    gone = [head for head in found if head.attention == min(layers) or head.head == 2]
    smaller = remove_heads(copy.deepcopy(whole), gone)
    assert check_compaction(whole, gone, smaller, made_up_batch(whole)) < 1e-4


@pytest.mark.parametrize("kind", WITH_CTC)
def test_layers_go_on_demand(kind, loaded, features, tmp_path):
    model = keep_layers(copy.deepcopy(loaded[kind].model), [1])
    assert len(model.encoder.encoders) == 1
    assert heard(model, kind, features, GREEDY, tmp_path) != expected(kind)["hypotheses"]["greedy"]


def test_late_regularisers_come_to_a_ctc_model(loaded):
    model, config = regularised(loaded["transformer-ctc"], {"layers": [1], "weight": 0.3}, 0.4)
    assert [layer.stochastic_depth_rate for layer in model.encoder.encoders] == pytest.approx([0.4 / 3, 0.8 / 3, 0.4])
    assert model.interctc_weight == 0.3 and config["intermediate_ctc"]["layers"] == [1]
    with pytest.raises(SecateurError, match="E-Branchformer has none"):
        regularised(loaded["e-branchformer-bpe"], {"layers": [1], "weight": 0.3}, 0.4)


# --- folders that cannot be used


def edited(tmp_path: Path, **changes) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(REFERENCE / "transformer-ctc", folder)
    file = config_file(folder)
    config = yaml.safe_load(file.read_text())
    config |= {key: value for key, value in changes.items()}
    file.write_text(yaml.safe_dump(config))
    return folder


BAD = {
    "another encoder": (
        {"encoder": "contextual_block_conformer"},
        "encoder is 'contextual_block_conformer'; read here",
    ),
    "another decoder": ({"decoder": "rnn"}, "decoder is 'rnn'; read here: transformer, transducer, none"),
    "another front end": ({"frontend": "s3prl"}, "frontend is 's3prl'; read here: default"),
    "another rate": ({"frontend_conf": {"fs": "8k"}}, "a model for speech at 8000 Hz"),
    "no token list": ({"token_list": None}, "token_list is NoneType"),
    "a token list that is gone": ({"token_list": "data/gone/tokens.txt"}, "token_list is data/gone/tokens.txt, which"),
    "pieces without a model": ({"token_type": "bpe", "bpemodel": None}, "writes word pieces, and has no bpemodel"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_configuration_that_cannot_be_read_is_one_line(name, tmp_path):
    changes, message = BAD[name]
    with pytest.raises(SecateurError) as found:
        formats.describe(edited(tmp_path, **changes))
    assert message in str(found.value) and "\n" not in str(found.value)


def test_configurations_with_objects_and_pickled_weights_are_not_run(tmp_path):
    folder = edited(tmp_path)
    weights = formats.describe(folder).files[1]
    torch.save({"encoder": torch.nn.Linear(2, 2)}, weights)
    with pytest.raises(SecateurError, match="holds pickled objects, not tensors alone, and those are never run here"):
        formats.load(folder)
    torch.save({"model": {"a": torch.zeros(1)}, "epoch": 3}, weights)
    with pytest.raises(SecateurError, match="not tensors by name, but a dict with other things in it"):
        formats.load(folder)
    file = config_file(folder)
    file.write_text(file.read_text() + "\nextra: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(SecateurError, match="not YAML that can be read"):
        formats.describe(folder)


def test_sizes_that_do_not_fit_and_other_mel_filters_are_said(tmp_path):
    conf = yaml.safe_load(config_file(REFERENCE / "transformer-ctc").read_text())["encoder_conf"]
    folder = edited(tmp_path, encoder_conf=conf | {"num_blocks": 4})
    with pytest.raises(SecateurError, match=r"does not fit the configuration beside it: lacks encoder\.encoders\.3\."):
        formats.load(folder)
    shutil.rmtree(folder)
    folder = edited(tmp_path, frontend_conf={"fs": "16k", "fmin": 80})
    with pytest.raises(SecateurError, match=r"frontend\.logmel\.melmat are not the mel filters of frontend_conf"):
        formats.load(folder)


def test_a_folder_of_a_training_is_read_without_meta_yaml(tmp_path):
    folder = edited(tmp_path)
    (folder / "meta.yaml").unlink()
    inner = config_file(folder / "exp/asr_transformer-ctc").parent
    assert formats.describe(inner).model == formats.describe(REFERENCE / "transformer-ctc").model


# --- what goes back


def given_back(kind: str, model, folder: Path) -> Path:
    """The folder that `export-original` writes of a model that came from the folder `kind`."""
    one = formats.load(REFERENCE / kind)
    save_model(folder / "pruned", model, smaller(one.config, model), one.tokens)
    words = ["--model", folder / "pruned", "--source", REFERENCE / kind, "--output", folder / "back"]
    tiny.run_script("export_original", *words)
    return folder / "back"


@pytest.mark.parametrize("kind", KINDS)
def test_a_masked_and_shallower_model_goes_back_as_a_folder_of_espnets(kind, loaded, tmp_path):
    model = copy.deepcopy(loaded[kind].model)
    magnitude_mask(model, sparsity=0.5).apply_(model)
    keep_layers(model, [1, len(model.encoder.encoders)])
    back = given_back(kind, model, tmp_path)
    again = formats.load(back)
    assert again.config["encoder"]["layers"] == 2 and "kept" not in again.config["encoder"]
    for name, value in model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name
    theirs = torch.load(formats.describe(REFERENCE / kind).files[1], weights_only=True)
    written = torch.load(formats.describe(back).files[1], weights_only=True)
    gone = {name for name in theirs if name.startswith("encoder.encoders.") and name not in written}
    assert written.keys() == theirs.keys() - gone and "frontend.logmel.melmat" in written
    assert (back / "meta.yaml").read_bytes() == (REFERENCE / kind / "meta.yaml").read_bytes()


def test_espnets_own_loader_hears_the_same_of_what_goes_back(loaded, features, tmp_path):
    names = list(TEXTS)[-8:]
    backs = {}
    for kind in KINDS:
        model = copy.deepcopy(loaded[kind].model)
        magnitude_mask(model, sparsity=0.5).apply_(model)
        keep_layers(model, range(2, 1 + len(model.encoder.encoders)))
        backs[kind] = given_back(kind, model, tmp_path / kind)
    answers, changed = heard_by_espnet(backs.values(), names), 0
    for kind, back in backs.items():
        lm = formats.load(back, "language_models").model.lm if kind == "conformer-hybrid" else None
        few = {kind: {name: features[kind][name] for name in names}}
        for search, theirs in answers[kind].items():
            options = SEARCHES[search] if kind in WITH_CTC else TRANSDUCER | {"beam": 1 if search == "greedy" else 4}
            found = heard(formats.load(back).model, kind, few, options, tmp_path, lm if "lm" in options else None)
            assert found == theirs, (kind, search)
            assert len(set(found.values())) > 4, "different things are heard"
            changed += found != {name: said_by(expected(kind))[search][name] for name in names}
    assert changed > 4, "and mostly others than before"


def test_decoder_layers_of_a_hybrid_go_and_espnet_loads_what_is_left(loaded, features, tmp_path):
    kind, names = "conformer-hybrid", list(TEXTS)[-8:]
    model = copy.deepcopy(loaded[kind].model)
    last = len(model.decoder.decoders)
    assert last > 1
    back = given_back(kind, keep_layers(model, [last], DECODER), tmp_path / kind)
    again = formats.load(back)
    assert again.config["decoder"]["layers"] == 1 and "kept" not in again.config["decoder"]
    few = {kind: {name: features[kind][name] for name in names}}
    for search, theirs in heard_by_espnet([back], names)[kind].items():
        lm = formats.load(back, "language_models").model.lm if "lm" in SEARCHES[search] else None
        assert heard(again.model, kind, few, SEARCHES[search], tmp_path, lm) == theirs, search


def heard_by_espnet(folders, names: list[str]) -> dict:
    """What ESPnet's own `Speech2Text` hears, by the name of what is above a folder and search."""
    files = {name: str(REFERENCE / f"speech/wav/{name}.flac") for name in names}
    said = subprocess.run(
        [sys.executable, REFERENCE / "hear.py", *folders],
        input=json.dumps(files),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(said.stdout.splitlines()[-1])
    return {Path(folder).parent.name: said_by(answer) for folder, answer in found.items()}


def test_a_model_without_some_heads_goes_back_with_a_loader(loaded, tmp_path):
    model = copy.deepcopy(loaded["transformer-ctc"].model)
    remove_heads(model, heads(model)[:3])
    back = given_back("transformer-ctc", model, tmp_path)
    program = [line for line in (back / "load.py").read_text().splitlines() if not line.startswith("#")]
    assert len(program) <= 3
    moved = back.rename(tmp_path / "moved")
    assert len(heads(runpy.run_path(str(moved / "load.py"))["model"])) == len(heads(model))


@pytest.mark.parametrize("kind", WITH_CTC)
def test_the_encoder_and_ctc_head_go_to_onnx(kind, loaded, tmp_path):
    one = loaded[kind]
    assert export_onnx(copy.deepcopy(one.model), one.config["features"], tmp_path / "model.onnx") < 1e-3
