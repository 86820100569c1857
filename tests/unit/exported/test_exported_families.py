"""Models that were trained elsewhere, as ONNX files: what is heard on test, in float32 and int8."""

from pathlib import Path

import pytest
import soundfile
from letters import sentences, spoken
from tiny import GREEDY
from trained_hugging_face import CTC

from secateur.decoding.recognize import Recognizer, decode
from secateur.decoding.scoring import score
from secateur.exported.systems import sub_models, write
from secateur.models import formats
from secateur.speech.datadir import read_table
from secateur.speech.front_ends import front_end
from secateur.speech.tokens import Tokenizer, take_tokens

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
