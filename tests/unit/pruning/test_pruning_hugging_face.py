"""Masks with retraining on trained models of Hugging Face's, of every sort, layers one at a time, and the way back.

The models are those of `tests/fixtures`; speech, and two languages of it, is `letters`. What a script prunes is decoded
by the script that decodes, and by transformers out of the folder that is exported.
"""

import json
from functools import cache
from pathlib import Path

import pytest
import tiny
from letters import sentences, write_kaldi
from one_by_one import remove_layers
from tiny import GREEDY, run_script
from trained_hugging_face import CTC, FIXTURES, WHISPER, transcripts_ctc, transcripts_whisper

from secateur.core.files import read_tsv
from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.surgery.layers import layer_numbers
from secateur.pruning.engines.mask import Mask, mask_file
from secateur.speech.datadir import Utterance, write_data_dir
from secateur.speech.features import extract
from secateur.speech.front_ends import front_end
from secateur.speech.tokens import take_tokens

LANGUAGES = ("en", "fr")
TRAINING = tiny.TRAINING | {"steps": 4, "batch_seconds": 8.0, "learning_rate": 1e-4, "evaluate_every": 4}
RECOVERY = TRAINING | {"steps": 8, "learning_rate": 2e-4, "evaluate_every": 8}
SEARCHES = {name: GREEDY for name in CTC} | {
    WHISPER: {"type": "generate", "batch": 10, "batch_frames": 100000, "beam": 1}
}
# As much as a model loses before its hypotheses change, and not so much that nothing is left of them.
SPARSITY = dict.fromkeys((*CTC, WHISPER), 0.5) | {"wav2vec2": 0.95}
AT_RANDOM = dict.fromkeys(CTC, (0.2, 0.95)) | {WHISPER: (0.05, 0.2)}
ALL = pytest.mark.parametrize("name", [*CTC, WHISPER])


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """The folder of a corpus for a model: data and features of both languages, its tokens, and the dense model."""
    root = tmp_path_factory.mktemp("corpora")

    @cache
    def of(name: str) -> Path:
        folder, source = root / name, FIXTURES / name
        found = formats.describe(source)
        take_tokens(folder, found.tokens, found.pieces)
        made = front_end(found.features)
        for language in LANGUAGES:
            write_kaldi(folder / "wav", language)
            for split in ("train", "dev", "test"):
                texts = sentences(split)[:12] if split == "train" else sentences(split)
                utterances = [
                    Utterance(f"{language}-{split}-{n:02d}", str(folder / "wav" / language / split / f"{n:02d}.wav"),
                              text if name == WHISPER else text.upper(), f"s{n}", language, len(text) / 10)
                    for n, text in enumerate(texts)
                ]  # fmt: skip
                write_data_dir(folder / "data" / language / split, utterances)
                data, output = folder / "data" / language / split, folder / "features" / language / split
                output.mkdir(parents=True)
                extract(data, output, made.width, front_end=made.compute)
        loaded = formats.load(source)
        save_model(folder / "dense", loaded.model, loaded.config, loaded.tokens)
        return folder

    return of


def prune(corpus: Path, output: Path, languages: tuple[str, ...], *arguments: object) -> dict:
    return run_script(
        "prune", "--data", corpus / "data", "--features", corpus / "features", "--tokens", corpus / "tokens.txt",
        "--training", json.dumps(TRAINING), "--device", "cpu", "--output", output, "--languages", *languages,
        "--start", corpus / "dense", *arguments,
    )  # fmt: skip


def hypotheses(name: str, corpus: Path, model: Path, output: Path, language: str = "en") -> list[str]:
    tail = f"{language}/test"
    run_script(
        "decode", "--model", model, "--data", corpus / "data" / tail, "--features", corpus / "features" / tail,
        "--tokens", corpus / "tokens.txt", "--languages", language, "--search", json.dumps(SEARCHES[name]),
        "--device", "cpu", "--output", output,
    )  # fmt: skip
    return [row["hypothesis"] for row in read_tsv(output / "hypotheses.tsv")]


def theirs(name: str, folder: Path) -> list[str]:
    return transcripts_whisper(folder) if name == WHISPER else transcripts_ctc(folder)


@ALL
def test_fixed_and_adaptive_masks_are_exact_and_the_folder_comes_back(name, corpora, tmp_path):
    corpus = corpora(name)
    dense = hypotheses(name, corpus, corpus / "dense", tmp_path / "dense-decoded")
    assert dense == theirs(name, FIXTURES / name)
    for method, more in (("imp", []), ("imp-adaptive", ["--adapt-every", 2])):
        output = tmp_path / method
        record = prune(corpus, output, ("en",), "--method", method, "--sparsity", SPARSITY[name], *more)
        model = load_model(output)
        mask = Mask.load(mask_file(output))
        mask.check(model.model)
        assert record["sparsity"] == pytest.approx(SPARSITY[name], abs=1e-4) and mask.total == record["prunable"]
        found = hypotheses(name, corpus, output, tmp_path / f"{method}-decoded")
        assert any(found) and found != dense
        formats.exporter(FIXTURES / name)(model, FIXTURES / name, tmp_path / f"{method}-exported")
        assert theirs(name, tmp_path / f"{method}-exported") == found


@pytest.mark.parametrize("name", ["wavlm", WHISPER])
def test_layers_go_one_at_a_time_with_training_between(name, corpora, tmp_path):
    """Of Whisper, those of encoder and decoder; transformers hears the same of what is left."""
    corpus = corpora(name)
    first, second = remove_layers(corpus, corpus / "dense", ("en",), RECOVERY, tmp_path)
    assert second.depth == first.depth - 1 and second.kept(second.depth) == first.kept(second.depth)
    assert second.loss(second.depth) != first.loss(second.depth), "the second search is of what was trained on"
    assert second.after < second.before
    loaded = load_model(second.model)
    assert layer_numbers(loaded.model) == second.kept(second.depth - 1)
    found = hypotheses(name, corpus, first.model, tmp_path / "decoded")
    assert any(found) and found != hypotheses(name, corpus, corpus / "dense", tmp_path / "dense-decoded")
    formats.exporter(FIXTURES / name)(load_model(first.model), FIXTURES / name, tmp_path / "exported")
    assert theirs(name, tmp_path / "exported") == found


@ALL
def test_pathways_have_a_mask_for_each_language_over_one_model(name, corpora, tmp_path):
    corpus = corpora(name)
    masks = []
    for seed, language in enumerate(LANGUAGES):
        output = tmp_path / language
        prune(corpus, output, (language,), "--method", "random", "--sparsity", AT_RANDOM[name][seed])
        masks.append(mask_file(output))
    record = prune(corpus, tmp_path / "pathways", LANGUAGES, "--method", "pathways", "--masks", *masks)
    assert record["sparsity"].keys() == set(LANGUAGES)
    found = {
        language: hypotheses(name, corpus, tmp_path / "pathways", tmp_path / f"decoded-{language}", language)
        for language in LANGUAGES
    }
    assert found["en"] != found["fr"], "the same sounds under two masks"
    assert all(map(any, found.values()))
