"""Models that ESPnet trained, pruned by the scripts: masks of every sort and their way back, layers one at a time."""

import json
from pathlib import Path

import pytest
import tiny
import torch
from one_by_one import remove_layers
from tiny import GREEDY, run_script

from secateur.core.files import read_tsv
from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.surgery.layers import layer_numbers
from secateur.pruning.engines.mask import Mask, mask_file, mask_for
from secateur.speech.datadir import Utterance, read_table, write_data_dir
from secateur.speech.features import extract
from secateur.speech.front_ends import front_end
from secateur.speech.tokens import take_tokens

ESPNET = Path(__file__).parents[2] / "reference" / "espnet"
LANGUAGES = ("en", "fr")
TRAINING = tiny.TRAINING | {"steps": 4, "batch_seconds": 8.0, "learning_rate": 1e-4, "evaluate_every": 4}
RECOVERY = TRAINING | {"steps": 8, "learning_rate": 2e-4, "evaluate_every": 8}
SEARCHES = {
    "transformer-ctc": GREEDY,
    "conformer-hybrid": GREEDY,
    "e-branchformer-bpe": GREEDY,
    "conformer-transducer": {"type": "transducer_espnet", "algorithm": "default", "lm_weight": 0.0, "beam": 1},
}
SPARSITY = (0.05, 0.6)
"""Of the masks, which are random: nothing is left of what was heard with much more."""
LARGEST = dict.fromkeys(SEARCHES, 0.93) | {"conformer-hybrid": 0.9, "conformer-transducer": 0.8}
"""The sparsity of masks of the largest weights: so much goes until something else is heard."""


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
def test_fixed_and_adaptive_masks_of_an_espnet_model_hold_and_it_goes_back(kind, tmp_path):
    """Trained under a mask that stays, and under one that changes: by the scripts, each to a folder of ESPnet's."""
    folder, masks = corpus(tmp_path / "corpus", ESPNET / kind), {}
    dense = heard(kind, folder, folder / "dense", tmp_path / "dense-decoded", "en")
    for method, more in {"imp": [], "imp-adaptive": ["--adapt-every", 2, "--soft", "straight_through"]}.items():
        output, back = tmp_path / method, tmp_path / f"{method}-back"
        record = prune(folder, output, ("en",), "--method", method, "--sparsity", LARGEST[kind], *more)
        loaded, mask = load_model(output), Mask.load(mask_file(output))
        mask.check(loaded.model)
        assert record["sparsity"] == pytest.approx(LARGEST[kind], abs=1e-4) and mask.total == record["prunable"]
        found = heard(kind, folder, output, tmp_path / f"{method}-decoded", "en")
        assert any(found) and found != dense
        formats.exporter(ESPNET / kind)(loaded, ESPNET / kind, back)
        state = formats.load(back).model.state_dict()
        assert all(torch.equal(state[name], value) for name, value in loaded.model.state_dict().items())
        masks[method] = mask
    log = read_tsv(tmp_path / "imp-adaptive" / "adaptations.tsv")
    assert sum(int(row["regrown"]) for row in log) > 0, "the mask changed"
    assert masks["imp"].kept == masks["imp-adaptive"].kept and masks["imp"] != masks["imp-adaptive"]


@pytest.mark.parametrize("kind", SEARCHES)
def test_layers_of_an_espnet_model_go_one_at_a_time_with_training_between(kind, tmp_path):
    folder = corpus(tmp_path / "corpus", ESPNET / kind)
    count = len(layer_numbers(load_model(folder / "dense").model)) - 1
    removals = remove_layers(folder, folder / "dense", ("en",), RECOVERY, tmp_path, count=count)
    assert [one.depth for one in removals] == list(range(count + 1, 1, -1))
    for number, one in enumerate(removals, 1):
        assert layer_numbers(load_model(one.model).model) == one.kept(one.depth - 1)
        for then in removals[number : number + 1]:
            assert then.kept(then.depth) == one.kept(then.depth), "the next one goes of what is left"
            assert then.loss(then.depth) != one.loss(then.depth), "of what it is by then"
    assert removals[-1].after < removals[-1].before
    assert any(heard(kind, folder, removals[0].model, tmp_path / "decoded", "en"))


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
