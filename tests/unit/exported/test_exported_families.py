"""Models that were trained elsewhere, as ONNX files: what is heard on test, in float32 and int8."""

from pathlib import Path

import pytest
import soundfile
import torch
from letters import sentences, spoken
from tiny import GREEDY
from trained_hugging_face import CTC

from secateur.decoding.recognize import Recognizer, decode, encode
from secateur.decoding.scoring import score
from secateur.exported.systems import sub_models, write
from secateur.models import formats
from secateur.models.load import Loaded
from secateur.models.size import ten_seconds
from secateur.models.surgery.heads import heads, remove_heads
from secateur.models.surgery.layers import keep_layers, layer_numbers
from secateur.speech.datadir import read_table
from secateur.speech.front_ends import front_end
from secateur.speech.tokens import Tokenizer, take_tokens
from secateur.ssl.checkpoints import load_encoder
from secateur.ssl.gated import compact, open_gates

TESTS = Path(__file__).parents[2]
ESPNET = TESTS / "reference/espnet"
FOLDERS = [f"fixtures/{name}" for name in CTC]
FOLDERS += [f"reference/espnet/{name}" for name in ("transformer-ctc", "conformer-hybrid", "e-branchformer-bpe")]


def speech_of(folder: str) -> tuple[dict, dict]:
    """Samples and texts of the test set that a folder's model knows."""
    if folder.startswith("fixtures"):
        said = {f"u{number}": text for number, text in enumerate(sentences("test"))}
        waves = {name: spoken(text, number) for number, (name, text) in enumerate(said.items())}
        return waves, {name: text.upper() for name, text in said.items()}
    texts = read_table(ESPNET / "speech/test/text")
    return {name: soundfile.read(ESPNET / f"speech/wav/{name}.flac", dtype="float32")[0] for name in texts}, texts


@pytest.mark.parametrize("folder", FOLDERS)
def test_onnx_runtime_hears_what_torch_hears_and_int8_about_the_same(folder, tmp_path):
    loaded, about = formats.load(TESTS / folder), formats.describe(TESTS / folder)
    waves, texts = speech_of(folder)
    compute = front_end(about.features).compute
    features = {name: compute(wave) for name, wave in waves.items()}
    take_tokens(tmp_path, about.tokens, about.pieces)
    whole = Recognizer(loaded.model, Tokenizer.load(tmp_path / "tokens.txt"))
    write(loaded, None, ["onnx", "int8"], tmp_path)
    models = {"torch": loaded.model, **dict(sub_models(loaded.model, tmp_path / "onnx.json"))}
    heard, errors = {}, {}
    for name, model in models.items():
        found = decode(whole.running(model), features, GREEDY)
        heard[name] = {key: result.hypothesis for key, result in found.items()}
        errors[name] = sum(one.errors for one in score(texts, heard[name])) / sum(
            len(text.split()) for text in texts.values()
        )
    assert heard["onnx"] == heard["torch"] and len(set(heard["torch"].values())) > 3
    assert errors["torch"] < 0.9 and abs(errors["int8"] - errors["torch"]) < 0.25


def smaller(folder: Path) -> Loaded:
    """Without its first layer, the attention of the second, and one head of every other."""
    loaded = formats.load(folder)
    keep_layers(loaded.model, layer_numbers(loaded.model)[1:])
    remove_heads(loaded.model, [head for head in heads(loaded.model) if head.layer == 2 or head.head == 2])
    return loaded


def structured(folder: Path) -> Loaded:
    """As gates leave it: heads of different widths, fewer units, and a layer without feed-forward network."""
    encoder = load_encoder(folder)
    gates = {kind: gate.clone() for kind, gate in open_gates(encoder.config).items()}
    gates["heads"][0, 1] = gates["ffn"][1] = 0.0
    for kind in ("qk", "vo", "int"):
        gates[kind][..., ::3] = 0.0
    return formats.joiner(folder)(compact(encoder, gates), folder)


MADE = [(folder, smaller) for folder in FOLDERS]
MADE += [
    (f"fixtures/{name}", structured) for name in ("wav2vec2", "wavlm")
]  # a large one, and one with gated positions


@pytest.mark.parametrize(("folder", "make"), MADE, ids=[f"{Path(one).name}-{make.__name__}" for one, make in MADE])
def test_what_is_left_of_a_model_goes_to_onnx_too(folder, make, tmp_path):
    """The file is checked against torch as it is written, on utterances of several lengths."""
    whole, left = formats.load(TESTS / folder), make(TESTS / folder)
    sizes = [sum(weight.numel() for weight in one.model.parameters()) for one in (left, whole)]
    assert sizes[0] < sizes[1]
    found = write(left, None, ["onnx", "int8"], tmp_path)
    assert found["systems"]["onnx"]["differences"]["model"] < 1e-3
    models = dict(sub_models(left.model, tmp_path / "onnx.json"))
    speech, lengths = ten_seconds(left.model, left.config["features"])
    with torch.inference_mode():
        expected = left.model.ctc.log_softmax(encode(left.model, speech, lengths)[0])
    plain, small = (models[name].encode(speech, lengths)[0] for name in ("onnx", "int8"))
    torch.testing.assert_close(plain, expected, rtol=0, atol=1e-3)
    assert 0 < (small - plain).abs().mean() < 0.3, "nats"
