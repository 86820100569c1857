"""A bundle, run as on a device without torch, and taken in by a report."""

import subprocess
import sys

import numpy as np
import pytest
from tiny import CTC, TOKENS, run_script, write_corpus

from secateur.core import provenance
from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv, write_json
from secateur.decoding.recognize import Recognizer, decode, read_features
from secateur.decoding.timing import AGAIN
from secateur.exported.target import collapsed
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model, smaller
from secateur.models.surgery.layers import keep_layers
from secateur.speech.tokens import Tokenizer

BARE = """
import runpy, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused}:
            raise ImportError(f"{{name}} is not on this device")

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, {folder!r})
sys.argv = ["run.py", "--rounds", "2"]
runpy.run_path({folder!r} + "/run.py", run_name="__main__")
import secateur
assert secateur.__file__.startswith({folder!r}), secateur.__file__
"""
REFUSED = ("torch", "espnet", "espnet2", "kaldiio", "soundfile", "jiwer", "scipy", "yaml", "transformers", "snakemake")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A model and the same with one layer, packed with three utterances, and what `run.py` said of them."""
    folder = tmp_path_factory.mktemp("bundle")
    write_corpus(folder)
    model = build_model(CTC, TOKENS).eval()
    model.ctc.ctc_lo.weight.data *= 10
    save_model(folder / "whole", model, CTC, TOKENS)
    keep_layers(model, [2])
    save_model(folder / "small", model, smaller(CTC, model), TOKENS)
    run_script(
        *("bundle", "--models", folder / "whole", folder / "small", "--names", "whole", "small"),
        *("--data", folder / "data/en/dev", "--features", folder / "features/en/dev"),
        *("--utterances", 3, "--output", folder / "out"),
    )
    words = BARE.format(refused=set(REFUSED), folder=str(folder / "out"))
    answer = subprocess.run([sys.executable, "-I", "-c", words], capture_output=True, text=True, cwd="/")
    assert answer.returncode == 0, answer.stderr
    return folder, answer.stdout


def test_all_systems_take_turns_on_a_device_with_numpy_and_onnxruntime_alone(bundle):
    folder, said = bundle
    rows = read_tsv(folder / "out/times.tsv")
    systems = ["whole", "whole, int8", "small", "small, int8", AGAIN]
    names = list(read_features(folder / "features/en/dev", ["en-dev-0", "en-dev-1", "en-dev-2"]))
    assert sorted((row["system"], row["round"], row["utterance"]) for row in rows) == sorted(
        (system, number, name) for system in systems for number in "12" for name in names
    )
    assert list(dict.fromkeys(row["system"] for row in rows)) == systems, "the first is what others are compared with"
    assert {row["duration_s"] for row in rows} == {"0.4"} and {row["agrees"] for row in rows} == {"1"}
    assert all(float(row["encoder_s"]) > 0 and float(row["lm_s"]) == 0 for row in rows)
    stored = {row["system"]: int(row["bytes"]) for row in rows}
    assert stored["small"] < stored["whole"] and stored[AGAIN] == stored["whole"]
    assert "small, int8: real-time factor" in said and "times.tsv" in said


def test_the_code_that_is_packed_imports_nothing_else(bundle):
    script = bundle[0] / "out/run.py"
    files, packages = provenance.closure([script])
    assert packages - sys.stdlib_module_names == {"numpy", "onnxruntime"}
    packed = {file.relative_to(bundle[0] / "out") for file in (bundle[0] / "out/secateur").rglob("*.py")}
    assert packed == {file.relative_to(provenance.PACKAGE_ROOT) for file in files - {script}}


def test_what_is_heard_is_what_torch_hears(bundle):
    folder, _ = bundle
    about, features = read_json(folder / "out/bundle.json"), np.load(folder / "out/features.npz")
    matrices = {entry["name"]: features[str(place)] for place, entry in enumerate(about["utterances"])}
    systems = {entry["name"]: entry for entry in about["systems"]}
    for name in ("whole", "small"):
        loaded = load_model(folder / name)
        tokenizer = Tokenizer(loaded.tokens)
        search = {"type": "ctc_greedy", "batch": 1, "batch_frames": 2000}
        expected = decode(Recognizer(loaded.model, tokenizer), matrices, search)
        heard = systems[name]["heard"]
        assert {key: tokenizer.decode(heard[key]) for key in heard} == {
            key: result.hypothesis for key, result in expected.items()
        }
        assert any(heard.values())


def test_a_device_that_hears_something_else_is_told(bundle, tmp_path):
    """The same bundle with another answer noted for one utterance: one of three does not agree, in each round."""
    from secateur.exported import target

    out = bundle[0] / "out"
    about = read_json(out / "bundle.json")
    (small,) = [entry for entry in about["systems"] if entry["name"] == "small"]
    small["heard"]["en-dev-1"] = [5, 5, 5]
    for name in ("models", "features.npz"):
        (tmp_path / name).symlink_to(out / name)
    write_json(tmp_path / "bundle.json", about)
    rows = [row for row in target.run(tmp_path, rounds=1) if row["system"] == "small"]
    assert {row["utterance"]: row["agrees"] for row in rows} == {"en-dev-0": 1, "en-dev-1": 0, "en-dev-2": 1}


def test_the_best_path_is_collapsed():
    path = [0, 3, 3, 0, 3, 4, 4, 4, 0]
    assert collapsed(np.eye(6)[path]) == [3, 3, 4]


def test_models_have_names_of_their_own(bundle):
    folder = bundle[0]
    words = ("--data", folder / "data/en/dev", "--features", folder / "features/en/dev", "--output", folder / "other")
    with pytest.raises(SecateurError, match="give each a name of its own"):
        run_script("bundle", "--models", folder / "whole", folder / "small", "--names", "a", "a", *words)
