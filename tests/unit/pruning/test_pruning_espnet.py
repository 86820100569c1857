"""ASR Pathways on models that ESPnet trained: one set of weights, a mask for each language, and each one's way back."""

import json
from pathlib import Path

import pytest
import tiny
import torch
from tiny import GREEDY, run_script

from secateur.core.files import read_tsv
from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.pruning.engines.mask import Mask, mask_file, mask_for
from secateur.speech.datadir import Utterance, read_table, write_data_dir
from secateur.speech.features import extract
from secateur.speech.front_ends import front_end
from secateur.speech.tokens import take_tokens

ESPNET = Path(__file__).parents[2] / "reference" / "espnet"
LANGUAGES = ("en", "fr")
TRAINING = tiny.TRAINING | {"steps": 4, "batch_seconds": 8.0, "learning_rate": 1e-4, "evaluate_every": 4}
SEARCHES = {
    "transformer-ctc": GREEDY,
    "conformer-hybrid": GREEDY,
    "e-branchformer-bpe": GREEDY,
    "conformer-transducer": {"type": "transducer_espnet", "algorithm": "default", "lm_weight": 0.0, "beam": 1},
}
SPARSITY = (0.05, 0.6)
"""Of the masks, which are random: nothing is left of what was heard with much more."""


def corpus(folder: Path, source: Path) -> Path:
    """The speech, once in each of two languages, with a model's features and tokens, and the dense model."""
    found = formats.describe(source)
    take_tokens(folder, found.tokens, found.pieces)
    made = front_end(found.features)
    for language in LANGUAGES:
        for split in ("train", "dev", "test"):
            utterances = [
                Utterance(f"{language}-{name}", str(ESPNET / f"speech/wav/{name}.flac"), text, name, language, 1.5)
                for name, text in read_table(ESPNET / f"speech/{split}/text").items()
            ]
            data, output = folder / "data" / language / split, folder / "features" / language / split
            write_data_dir(data, utterances)
            output.mkdir(parents=True)
            extract(data, output, made.width, front_end=made.compute)
    loaded = formats.load(source)
    save_model(folder / "dense", loaded.model, loaded.config, loaded.tokens)
    return folder


def prune(folder: Path, output: Path, languages: tuple[str, ...], *arguments: object) -> dict:
    return run_script(
        "prune", "--data", folder / "data", "--features", folder / "features", "--tokens", folder / "tokens.txt",
        "--training", json.dumps(TRAINING), "--device", "cpu", "--output", output, "--languages", *languages,
        "--start", folder / "dense", *arguments,
    )  # fmt: skip


def heard(kind: str, folder: Path, model: Path, output: Path, language: str) -> list[str]:
    tail = f"{language}/test"
    run_script(
        "decode", "--model", model, "--data", folder / "data" / tail, "--features", folder / "features" / tail,
        "--tokens", folder / "tokens.txt", "--languages", language, "--search", json.dumps(SEARCHES[kind]),
        "--device", "cpu", "--output", output,
    )  # fmt: skip
    return [row["hypothesis"] for row in read_tsv(output / "hypotheses.tsv")]


@pytest.mark.parametrize("kind", SEARCHES)
def test_pathways_have_a_mask_for_each_language_over_an_espnet_model(kind, tmp_path):
    folder, masks = corpus(tmp_path / "corpus", ESPNET / kind), []
    for language, sparsity in zip(LANGUAGES, SPARSITY, strict=True):
        prune(folder, tmp_path / language, (language,), "--method", "random", "--sparsity", sparsity)
        masks.append(mask_file(tmp_path / language))
    pathways = tmp_path / "pathways"
    prune(folder, pathways, LANGUAGES, "--method", "pathways", "--masks", *masks)
    found = {one: heard(kind, folder, pathways, tmp_path / f"decoded-{one}", one) for one in LANGUAGES}
    assert found["en"] != found["fr"], "the same sounds under two masks"
    assert all(map(any, found.values()))
    for language, given in zip(LANGUAGES, masks, strict=True):
        back = tmp_path / f"back-{language}"
        words = ["--model", pathways, "--source", ESPNET / kind, "--language", language, "--output", back]
        run_script("export_original", *words)
        mask, loaded = Mask.load(mask_for(pathways, language)), load_model(pathways).model
        assert mask.kept == Mask.load(given).kept, "the mask that was given for the language"
        mask.apply_(loaded)
        state = formats.load(back).model.state_dict()
        assert all(torch.equal(state[name], value) for name, value in loaded.state_dict().items())
        mask.check(formats.load(back).model)
