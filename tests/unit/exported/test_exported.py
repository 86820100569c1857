"""Exported models: language models step by step, int8 by hand, and what is decoded and timed by ONNX Runtime."""

import json

import numpy as np
import onnx
import pytest
import tiny
import torch
from espnet.nets.scorer_interface import BatchScorerInterface
from onnx import numpy_helper
from tiny import CTC, LM, TOKENS, with_encoder

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv
from secateur.decoding.onnx import export_onnx, quantise, session
from secateur.decoding.onnx_lm import OnnxLM, export_lm
from secateur.decoding.onnx_positions import COMPUTED, computed_positions
from secateur.decoding.recognize import Recognizer, decode
from secateur.exported.systems import sub_models, write
from secateur.heads.smaller_lm import without_layers
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import Loaded
from secateur.models.surgery.heads import heads, remove_heads
from secateur.models.surgery.layers import keep_layers
from secateur.speech.tokens import Tokenizer

BEAM = {"type": "beam", "beam": 3, "ctc_weight": 0.3, "lm": "lm", "lm_weight": 0.5, "length_bonus": 0.1}
SEARCHES = {"greedy": tiny.GREEDY, "beam": BEAM}


def model() -> torch.nn.Module:
    torch.manual_seed(1)
    built = build_model(CTC, TOKENS).eval()
    with torch.no_grad():
        built.ctc.ctc_lo.weight *= 10  # else all frames are alike
    return built


def lm(layers: int = 2) -> torch.nn.Module:
    torch.manual_seed(2)
    built = build_model(LM | {"layers": layers}, TOKENS).eval()
    with torch.no_grad():
        built.lm.decoder.weight *= 3
    return built


def features(count: int = 4) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {f"u{number}": draw.standard_normal((60 + 20 * number, 20), np.float32) for number in range(count)}


@pytest.mark.parametrize("smaller", ["whole", "layers", "heads"])
def test_a_language_model_scores_prefixes_as_torch_does(smaller, tmp_path):
    whole = lm()
    if smaller == "layers":
        keep_layers(whole, without_layers(whole, 1, lambda found: 0.0))
    elif smaller == "heads":
        remove_heads(whole, heads(whole)[:3])
    assert export_lm(whole.lm, tmp_path / "lm.onnx") < 1e-4
    found: BatchScorerInterface = OnnxLM(tmp_path / "lm.onnx")
    prefixes = torch.tensor([[6, 3, 4, 5, 3], [6, 5, 5, 2, 1]])
    ours, theirs = [None, None], [None, None]
    for length in range(1, 6):
        scores, ours = found.batch_score(prefixes[:, :length], ours, None)
        with torch.no_grad():
            expected, theirs = whole.lm.batch_score(prefixes[:, :length], theirs, None)
        torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)
        if length == 2:  # hypotheses change places in a search
            prefixes, ours, theirs = prefixes.flip(0), ours[::-1], theirs[::-1]
    assert scores.std() > 0.1


@pytest.mark.parametrize("kind", COMPUTED)
def test_positions_are_computed_as_they_were_stored(kind):
    one = kind(16, 0.1).eval()
    for frames in (1, 2, 333, 2000):
        given = torch.randn(2, frames, 16)
        expected = one(given)
        with computed_positions(one):
            found = one(given)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    assert "forward" not in one.__dict__


def test_a_recurrent_language_model_is_refused(tmp_path):
    espnet = {"type": "espnet_lm", "espnet": {"lm": "seq_rnn", "lm_conf": {"unit": 8, "nlayers": 1}}}
    with pytest.raises(SecateurError, match="this one is recurrent"):
        export_lm(build_model(espnet, TOKENS).eval().lm, tmp_path / "lm.onnx")


def test_int8_rounds_each_column_of_a_matrix_by_a_scale_of_its_own(tmp_path):
    torch.manual_seed(1)
    built = build_model(with_encoder(CTC, dim=144, ffn=512), TOKENS).eval()
    export_onnx(built, 20, tmp_path / "plain.onnx")
    quantise(tmp_path / "plain.onnx", tmp_path / "int8.onnx")
    tensors = {one.name: numpy_helper.to_array(one) for one in onnx.load(tmp_path / "int8.onnx").graph.initializer}
    matrices = [name for name, value in tensors.items() if name.endswith("_quantized")]
    whole = {one.name: numpy_helper.to_array(one) for one in onnx.load(tmp_path / "plain.onnx").graph.initializer}
    assert len(matrices) > 10
    for name in matrices:
        name = name.removesuffix("_quantized")
        scale = np.abs(whole[name]).max(0) / 63.5  # 7 bits
        stored = tensors[f"{name}_quantized"].astype(np.float32)
        assert tensors[f"{name}_quantized"].dtype == np.int8 and np.abs(stored).max() <= 64
        error = np.abs(stored * tensors[f"{name}_scale"] - whole[name])
        assert (error <= scale * 0.6 + 1e-7).all(), "half a step away at most"
    parameters = sum(whole[name.removesuffix("_quantized")].size for name in matrices)
    saved = (tmp_path / "plain.onnx").stat().st_size - (tmp_path / "int8.onnx").stat().st_size
    assert 2.8 * parameters < saved < 3 * parameters, "three of four bytes go; scales and nodes come"
    size = sum(4 * parameter.numel() for parameter in built.parameters())
    assert (tmp_path / "plain.onnx").stat().st_size < 1.1 * size, "no store of positions"


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_searches_hear_by_onnx_runtime_what_they_hear_by_torch(search, tmp_path):
    built, language = model(), lm().lm if "lm" in search else None
    found = write(Loaded(built, CTC, TOKENS), language, ["onnx", "int8"], tmp_path)
    parts = {"model", "lm"} if language else {"model"}
    assert found["layers"] == 3 and found["systems"]["onnx"]["differences"].keys() == parts
    whole, heard = Recognizer(built, Tokenizer(TOKENS), lm=language), {}
    for name, run in {"torch": built, **dict(sub_models(built, tmp_path / "onnx.json"))}.items():
        one = whole.running(run)
        assert language is None or name == "torch" or one.lm is not language, "the language model is exported, too"
        heard[name] = {key: result.hypothesis for key, result in decode(one, features(), search).items()}
    assert heard["onnx"] == heard["torch"] and len(set(heard["onnx"].values())) > 2
    assert any(heard["int8"].values())


def test_int8_changes_what_is_computed_a_little(tmp_path):
    built = model()
    write(Loaded(built, CTC, TOKENS), None, ["onnx", "int8"], tmp_path)
    runs = dict(sub_models(built, tmp_path / "onnx.json"))
    speech = torch.from_numpy(np.stack([matrix[:60] for matrix in features().values()]))
    lengths = torch.tensor([60] * len(speech))
    (plain, frames), (small, same) = (runs[name].encode(speech, lengths) for name in ("onnx", "int8"))
    assert frames.tolist() == same.tolist()
    assert 1e-4 < (plain - small).abs().mean() < 0.2


def test_only_int8_keeps_no_other_file(tmp_path):
    write(Loaded(model(), CTC, TOKENS), None, ["int8"], tmp_path)
    assert [file.name for file in (tmp_path / "files").iterdir()] == ["int8.onnx"]


@pytest.fixture
def study(tmp_path):
    """A folder with a model, a language model and a corpus."""
    tiny.write_corpus(tmp_path)
    save_model(tmp_path / "model", model(), CTC, TOKENS)
    save_model(tmp_path / "lm", lm(), LM | {"layers": 2}, TOKENS)
    return tmp_path


@pytest.mark.parametrize("search", SEARCHES)
def test_a_study_decodes_and_times_what_it_exports(search, study):
    given = SEARCHES[search]
    data, language = (study / "data/en/dev", study / "features/en/dev"), ["--lm", study / "lm"] if "lm" in given else []
    record = tiny.run_script(
        "decode_onnx", "--model", study / "model", "--data", data[0], "--features", data[1], "--device", "cpu",
        "--search", json.dumps(given), *language, "--output", study / "onnx",
    )  # fmt: skip
    for found in record["systems"].values():
        assert found["model_bytes"] == (study / "onnx/files" / found["model"]).stat().st_size
        assert ("lm_bytes" in found) == bool(language) and found["peak_memory"] > found["model_bytes"] / 2
    rows = read_tsv(study / "onnx/hypotheses.tsv")
    assert {row["sub_model"] for row in rows} == {"onnx", "int8"}
    assert (study / "onnx/score.json").is_file()
    entry = {"onnx": str(study / "onnx/onnx.json")} | ({"lm": str(study / "lm")} if language else {})
    systems = {"m": {"model": str(study / "model"), "searches": {search: entry}}}
    groups = {"quick": {"searches": [search], "utterances": 2, "rounds": 1}}
    tiny.run_script(
        "timing", "--systems", json.dumps(systems), "--searches", json.dumps({search: given}), "--groups",
        json.dumps(groups), "--data", data[0], "--features", data[1], "--device", "cpu", "--output", study / "timing",
    )  # fmt: skip
    timed = {row["sub_model"]: row for row in read_tsv(study / "timing/timing.tsv")}
    assert timed.keys() == {"", "onnx", "int8", "A/A"} and {row["depth"] for row in timed.values()} == {"3"}
    assert all(float(row["encoder_s"]) > 0 for row in timed.values())
    assert all((float(row["lm_s"]) > 0) == bool(language) for row in timed.values())


def test_the_command_writes_either_kind_of_model_in_int8(study):
    for name in ("model", "lm"):
        sizes = {}
        for kind in ("float32", "int8"):
            file = study / f"{name}-{kind}.onnx"
            record = tiny.run_script("export_onnx", "--model", study / name, "--format", kind, "--output", file)
            sizes[kind] = record["bytes"]
            session(file)
            assert record["difference"] < 1e-3
        assert sizes["int8"] != sizes["float32"]
