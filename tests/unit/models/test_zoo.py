"""Models of the zoo: half precision and back, the export command, and its model card, on tiny models."""

from pathlib import Path

import pytest
import tiny
import torch
from decodings import write_decoding
from tiny import CTC, LM, TEXTS, TOKENS, run_script, transducer, write_corpus

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json, write_tsv
from secateur.models import zoo
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import Loaded, load_model
from secateur.models.tensors import read_tensors
from secateur.training.task import HISTORY_COLUMNS

SCORES = {"en": [(1, 4), (0, 2)], "fr": [(3, 3)]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    for language in TEXTS:
        for kind in ("data", "features"):
            (folder / kind / language / "test").symlink_to("dev")
        source = {"name": "Tiny sounds", "description": "A few words", "licence": "CC0", "credits": f"voice {language}"}
        write_json(folder / "data" / language / "source.json", source | {"versions": {"tiny": "1.2"}})
        write_json(folder / "data" / language / "run.json", {"utterances": {"train": 30, "dev": 4, "test": 5}})
    return folder


def made(corpus: Path, folder: Path, config: dict, **arguments: object) -> Path:
    """A model with random weights as its training would leave it, decoded."""
    torch.manual_seed(1)
    model = build_model(config, TOKENS)
    save_model(folder, model, config, TOKENS)
    rows = [dict.fromkeys(HISTORY_COLUMNS, 0) | {"step": step, "dev_loss": loss} for step, loss in ((10, 3.5), (20, 4))]
    write_tsv(folder / "history.tsv", HISTORY_COLUMNS, rows)
    record = {"steps": 20, "seconds": 5400.0, "threads": 1, "processor": "a processor", "precision": "torch.float32"}
    record |= {"seed": 7, "git": "abc123", "versions": {"torch": "2"}}
    given = {"training": tiny.TRAINING, "tokens": str(corpus / "tokens.txt"), **arguments}
    write_json(folder / "run.json", record | {"arguments": given})
    return folder


def acoustic(corpus: Path, folder: Path, config: dict) -> Path:
    paths = {kind: str(corpus / kind) for kind in ("data", "features")}
    made(corpus, folder, config, languages=list(TEXTS), speeds=[1.0, 0.9], **paths)
    for language, counts in SCORES.items():
        rows = [
            {"errors": errors, "words": words, "character_errors": errors, "characters": 5 * words}
            for errors, words in counts
        ]
        write_decoding(folder / "decode/greedy", language, {}, rows)
    return folder


def test_a_model_in_half_precision_is_read_back_as_float32_within_its_rounding(tmp_path):
    torch.manual_seed(2)
    model = build_model(CTC, TOKENS).eval()
    model.frontend.mean.copy_(torch.randn(20))
    zoo.write(tmp_path, Loaded(model, CTC, TOKENS), zoo.halved(model.state_dict()))
    stored, found = read_tensors(tmp_path / "model.safetensors")[0], load_model(tmp_path).model
    assert {value.dtype for name, value in stored.items() if value.is_floating_point()} == {
        torch.float16,
        torch.float32,
    }
    assert [name for name, value in stored.items() if value.dtype == torch.float32] == ["frontend.mean", "frontend.std"]
    for name, value in found.state_dict().items():
        assert value.dtype == model.state_dict()[name].dtype
        torch.testing.assert_close(value, model.state_dict()[name], rtol=2**-11, atol=2**-25)
    assert torch.equal(found.frontend.mean, model.frontend.mean)


def test_what_half_precision_has_not_and_what_is_too_large_are_refused(tmp_path, monkeypatch):
    with pytest.raises(SecateurError, match=r"encoder.x: a value above 65504"):
        zoo.halved({"encoder.x": torch.tensor([1e5])})
    model = build_model(CTC, TOKENS)
    monkeypatch.setattr(zoo, "LARGEST", 10_000)
    with pytest.raises(SecateurError, match=r"the weights take 0.\d MB; allowed: 0.01 MB"):
        zoo.write(tmp_path / "large", Loaded(model, CTC, TOKENS), model.state_dict())
    assert not (tmp_path / "large").exists()


@pytest.mark.parametrize("config", [CTC, transducer(CTC)], ids=["ctc", "rnnt"])
def test_an_exported_model_comes_with_its_record_and_card(corpus, tmp_path, config):
    folder = acoustic(corpus, tmp_path / "results" / "zoo" / "model", config)
    output = tmp_path / "pretrained" / "tiny"
    run_script("export_pretrained", "--model", folder, "--output", output)
    expected = zoo.halved(load_model(folder).model.state_dict())
    assert all(
        torch.equal(value, expected[name]) for name, value in read_tensors(output / "model.safetensors")[0].items()
    )
    record = read_json(output / "run.json")
    assert record["seed"] == 7 and abs(record["export"]["half_precision"]["before"] - 100) < 300
    text = (output / "README.md").read_text()
    for fact in (
        "# tiny\n", "for en, fr.", "| test | greedy | en | 16.7 (", "| test | greedy | fr | 100.0 (",
        "| test | greedy | average | 58.3 (", "20 steps in 1.5 hours, 1 thread(s), a processor", "seed 7",
        "Lowest dev loss: 3.50, at step 10", "| en | Tiny sounds | A few words | 30 / 4 / 5 | CC0 | voice en",
        "`make results STUDY=zoo` at revision abc123", "learning_rate: 0.001", "speeds 1, 0.9", "half precision",
    ):  # fmt: skip
        assert fact in text, fact
    lines = [line.split("|") for line in text.splitlines() if line.startswith("| test | greedy ")]
    assert [line[-2].partition(" (")[0].strip() for line in lines] == ["3.3", "20.0", "11.7"]  # characters


def test_a_language_model_is_compared_by_perplexity(corpus, tmp_path):
    dev = [str(corpus / "data" / language / "dev" / "text") for language in TEXTS]
    folder = made(corpus, tmp_path / "results" / "zoo" / "lm", LM, dev=dev)
    run_script("export_pretrained", "--model", folder, "--output", tmp_path / "out")
    half = read_json(tmp_path / "out" / "run.json")["export"]["half_precision"]
    assert half["measure"] == "perplexity of the dev text" and abs(half["after"] / half["before"] - 1) < 1e-3
    text = (tmp_path / "out" / "README.md").read_text()
    assert (
        "Transformer language model" in text
        and "for en, fr." in text
        and "## Perplexity" in text
        and "## Error rates" not in text
    )


def test_half_precision_that_moves_the_error_rate_is_refused_unless_whole(corpus, tmp_path, monkeypatch):
    folder = acoustic(corpus, tmp_path / "results" / "zoo" / "model", CTC)
    zeroed = {name: torch.zeros_like(value) for name, value in load_model(folder).model.state_dict().items()}
    monkeypatch.setattr(zoo, "halved", lambda tensors: zeroed)
    with pytest.raises(SecateurError, match=r"half precision moves the word error rate .* from [\d.]+ to [\d.]+, by"):
        run_script("export_pretrained", "--model", folder, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    run_script("export_pretrained", "--model", folder, "--output", tmp_path / "out", "--whole")
    assert set(read_json(tmp_path / "out" / "run.json")["export"]) == {"model"}
    assert load_model(tmp_path / "out").model.state_dict().keys() == zeroed.keys()


def test_a_model_of_no_study_is_refused(tmp_path):
    with pytest.raises(SecateurError, match="expected a folder below results/STUDY"):
        run_script("export_pretrained", "--model", tmp_path, "--output", tmp_path / "out")
