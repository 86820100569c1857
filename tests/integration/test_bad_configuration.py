"""Configurations with a mistake, as `make plan` and `make results` read them: one clear error before any job."""

import importlib
import sys
from pathlib import Path

import pytest
import yaml

from secateur.config.scale import lay_over
from secateur.core.errors import SecateurError

ROOT = Path(__file__).resolve().parents[2]

# A configuration: what is laid over the smoke study's, and what the error says.
CONFIGURATIONS = {
    "a word for a number": ("seeds: [one]", r"seeds\[0\]: 'one' is of the wrong type; allowed: integer"),
    "an unknown key": ("decode: {search: [greedy]}", r"decode.search: unknown key \(did you mean 'searches'\?\)"),
    "a key that is missing": ("training: {new: {steps: 5}}", r"training.new.learning_rate: missing"),
    "a name with a slash": ("models: {a/b: {}}", r"models.*'a/b'.*allowed: lower-case letters, digits"),
    "an unknown type of model": ("models: {ctc: {type: ctx}}", r"type 'ctx' is unknown \(did you mean 'ctc'\?\)"),
    "heads that do not divide": ("models: {ctc: {encoder: {heads: 3}}}", r"3 heads do not divide encoder.dim = 32"),
    "an even kernel": ("models: {ctc: {encoder: {kernel: 8}}}", r"encoder.kernel: 8 is even"),
    "a layer that is not there": ("models: {ctc: {intermediate_ctc: {layers: [2]}}}", r"2 is not below the .* last"),
    "no steps": ("training: {acoustic: {steps: 0}}", r"training.acoustic.steps: 0; allowed: ≥ 1"),
    "no processes": ("training: {acoustic: {processes: 0}}", r"training.acoustic.processes: 0; allowed: ≥ 1"),
    "a rate that is no number": ("training: {acoustic: {learning_rate: .nan}}", r"learning_rate: nan is of the wrong"),
    "an infinite rate": ("training: {acoustic: {learning_rate: .inf}}", r"learning_rate: inf is of the wrong"),
    "a sparsity of zero": ("pruning: {progressive: {levels: [0, 0.5]}}", r"levels\[0\]: 0; allowed: > 0"),
    "a sparsity of one": ("pruning: {progressive: {levels: [0.5, 1]}}", r"levels\[1\]: 1; allowed: < 1"),
    "levels that fall": ("pruning: {progressive: {levels: [0.7, 0.5]}}", r"levels: \[0.7, 0.5\] does not rise"),
    "masks that never adapt": ("pruning: {progressive: {adapt_every: 8}}", r"adapt_every: 8; allowed: less than the s"),
    "the mean of masked models": ("training: {retrain: {average_best: 2}}", r"average_best: 2; allowed: 0, because"),
    "an average of masked models": ("training: {retrain: {ema: 0.9}}", r"retrain.ema: 0.9; allowed: 0, because"),
    "a corpus that is not there": ("dense: [{corpus: mine, model: ctc}]", r"dense\[0\].corpus: 'mine' is not in corp"),
    "a language that is not there": (
        "dense: [{corpus: espeak, model: ctc, scopes: [de]}]",
        r"dense\[0\].scopes: 'de' is not in corpora.espeak.languages",
    ),
    "a search for another type": (
        "dense: [{corpus: espeak, model: ctc, searches: [stream]}]",
        r"dense\[0\].searches: 'stream' does not fit models of type ctc",
    ),
    "no root and no url": ("corpora: {mls: {recipe: mls, languages: [fr]}}", r"corpora.mls.root: null, and so is url"),
    "a language model without a file": (
        "language_models: {char-lm: {text: {en: gone.txt}}}",
        r"language_models.char-lm.text.en: 'gone.txt' is no file",
    ),
    "a split that is not there": (
        "decode: {splits: [eval]}",
        r"decode.splits: 'eval' is not in `conditions` and the splits",
    ),
    "a list for a mapping": ("training: [acoustic]", r"training"),
    "a key that is there twice": ("seeds: [1]\nseeds: [2]", r"'seeds' is there twice"),
    "no YAML": ("seeds: [1", r"not valid YAML"),
    "tabs": ("training:\n\tacoustic: {}", r"not valid YAML"),
    "another encoding": (b"report: {title: caf\xe9}", r"not valid YAML"),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_bad_configuration_is_one_clear_error(name, tmp_path):
    """As `make plan` and `make results` read it, before any job."""
    text, message = CONFIGURATIONS[name]
    file = tmp_path / "mine.yaml"
    smoke = (ROOT / "workflow" / "studies" / "smoke.yaml").read_text()
    plan = load_module(ROOT / "workflow" / "plan.py")
    overlay = (text if isinstance(text, bytes) else text.encode()) + b"\nstudy: mine\n"
    file.write_bytes(overlay)
    base = tmp_path / "clone"
    base.mkdir()
    (base / "workflow").symlink_to(ROOT / "workflow")
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    lay_over(config, yaml.safe_load(smoke))
    (base / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SecateurError, match=message):
        plan.load(base, file)


def load_module(path: Path):
    sys.path.insert(0, str(path.parent))
    try:
        return importlib.import_module(path.stem)
    finally:
        sys.path.remove(str(path.parent))
