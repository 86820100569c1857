"""The script that trains dense models, from the weights of another model.

At a learning rate of 1e-30 no weight but zero changes: what it saves then is what it started from.
"""

import json
import logging
from argparse import Namespace
from pathlib import Path

import pytest
import tiny
import torch
from tiny import CTC, TOKENS, hybrid, run_script, with_encoder, write_corpus

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv, write_json
from secateur.core.jobs import LEFT_OVER
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.tensors import checksum, save_tensors
from secateur.speech.data import BatchPlan
from secateur.training import command_line, loop
from secateur.training.acoustic import Material, Speech
from secateur.training.state import keep

HYBRID = hybrid(CTC) | {"input": CTC["input"]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    for language in tiny.TEXTS:
        for split in ("train", "dev"):
            statistics = {"count": 1, "sum": [0.5] * 20, "sum_square": [4.0] * 20}
            (folder / "features" / language / split / "cmvn.json").write_text(json.dumps(statistics))
    torch.manual_seed(5)
    model = build_model(CTC, TOKENS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    save_model(folder / "trained", model, CTC, TOKENS)
    return folder


def trained(corpus: Path, output: Path, model: dict, *arguments: object) -> dict[str, torch.Tensor]:
    run_script(
        "train", "--data", corpus / "data", "--features", corpus / "features", "--tokens", corpus / "tokens.txt",
        "--training", json.dumps(tiny.TRAINING | {"learning_rate": 1e-30}), "--device", "cpu", "--output", output,
        "--languages", "en", "fr", "--model", json.dumps(model), *arguments,
    )  # fmt: skip
    return load_model(output).model.state_dict()


def test_a_hybrid_model_starts_from_the_encoder_and_head_of_a_ctc_model_and_its_own_decoder(corpus, tmp_path):
    start, own = load_model(corpus / "trained").model.state_dict(), trained(corpus, tmp_path / "own", HYBRID)
    found = trained(corpus, tmp_path / "found", HYBRID, "--start", corpus / "trained")
    decoder = [name for name in found if name.startswith("decoder.")]
    assert len(decoder) > 20 and set(found) == set(start) | set(decoder)
    assert all(torch.equal(found[name], start[name]) for name in start)
    torch.testing.assert_close([found[name] for name in decoder], [own[name] for name in decoder], rtol=0, atol=1e-20)
    assert not torch.equal(own["ctc.ctc_lo.weight"], start["ctc.ctc_lo.weight"])
    assert not torch.equal(own["frontend.mean"], start["frontend.mean"]), "the features are normalised as before"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 4}, r"trained: encoder.encoders.3.\S+ is missing there and [\d ×]+ here; start from a model with"),
        ({"layers": 2}, r"trained: encoder.encoders.2.\S+ is [\d ×]+ there and missing here"),
        ({"ffn": 8}, r"feed_forward.w_1.bias is 32 there and 8 here"),
    ],
)
def test_another_encoder_is_refused(corpus, tmp_path, changes, message):
    model = with_encoder(CTC, **changes) | {"intermediate_ctc": tiny.NO_INNER_LOSS}
    with pytest.raises(SecateurError, match=message):
        trained(corpus, tmp_path / "model", model, "--start", corpus / "trained")


def test_another_token_list_is_refused(corpus, tmp_path):
    tokens = [*TOKENS[:-1], "d", "<sos/eos>"]
    save_model(tmp_path / "other", build_model(CTC, tokens), CTC, tokens)
    with pytest.raises(SecateurError, match="other: has another token list"):
        trained(corpus, tmp_path / "model", CTC, "--start", tmp_path / "other")


def test_with_a_temperature_every_batch_is_of_one_language_and_without_one_they_are_mixed(corpus):
    """English has three utterances, French two, all of one length: shares of 3/5 at temperature 1."""
    speech = Speech(corpus / "data", corpus / "features", ["en", "fr"], corpus / "tokens.txt")
    mixed = Material(speech, 10.0, seed=1).plan.step(0)
    assert {name[:2] for name in mixed} == {"en", "fr"} and len(mixed) == 5
    for temperature, english in ((1.0, 6), (1000.0, 5)):
        plan = Material(speech, 10.0, seed=1, temperature=temperature).plan
        batches = [{name[:2] for name in plan.step(step)} for step in range(10)]
        assert all(len(codes) == 1 for codes in batches) and batches.count({"en"}) == english
    alone = Speech(corpus / "data", corpus / "features", ["en"], corpus / "tokens.txt")
    assert isinstance(Material(alone, 10.0, seed=1, temperature=2.0).plan, BatchPlan)


def finished(corpus: Path, output: Path, *more: object) -> list[tuple[int, float]]:
    """Train for real and tidy up, as a job does; answers with the steps and dev losses of the history."""
    record = run_script(
        "train", "--data", corpus / "data", "--features", corpus / "features", "--tokens", corpus / "tokens.txt",
        "--training", json.dumps(tiny.TRAINING | {"steps": 4, "evaluate_every": 2, "average_best": 2}),
        "--device", "cpu", "--languages", "en", "fr", "--model", json.dumps(CTC), "--output", output, *more,
    )  # fmt: skip
    record[LEFT_OVER]()
    return [(int(row["step"]), float(row["dev_loss"])) for row in read_tsv(output / "history.tsv")]


def test_a_training_that_ended_before_anybody_noted_it_is_not_done_again(corpus, tmp_path, monkeypatch, caplog):
    """Snakemake, if it is killed at that moment, deletes the result and runs the job again."""
    output = tmp_path / "out"
    history = finished(corpus, output)
    first = (output / "model.safetensors").read_bytes()
    resume = output / "resume"
    assert {file.name for file in resume.iterdir()} == {"finished.safetensors", "finished.json"}
    assert (resume / "finished.safetensors").samefile(output / "model.safetensors"), "no room on the disk"
    for file in ("model.safetensors", "model.json", "history.tsv"):
        (output / file).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "backward", lambda *_: pytest.fail("a step was taken"))
        with caplog.at_level(logging.INFO):
            assert finished(corpus, output) == history
    assert "was finished before" in caplog.text
    assert (output / "model.safetensors").read_bytes() == first
    # Another seed is another training; so is one whose kept weights are damaged.
    assert finished(corpus, output, "--seed", 2) != history
    assert (output / "model.safetensors").read_bytes() != first
    kept = resume / "finished.safetensors"
    damaged = bytearray(kept.read_bytes())
    damaged[-1] ^= 1
    kept.unlink()
    kept.write_bytes(damaged)
    (output / "model.safetensors").unlink()
    again = finished(corpus, output, "--seed", 2)
    assert len(again) == 2 and load_model(output)


def test_a_result_that_is_not_what_training_left_keeps_nothing(tmp_path):
    """Of a model that was pruned after its last step, say."""
    folder, weights = tmp_path / "resume", {"a": torch.ones(2)}
    save_tensors(folder / "state.safetensors", weights)
    write_json(folder / "finished.json", {"sha256": checksum(weights)})
    save_tensors(tmp_path / "model.safetensors", {"a": torch.zeros(2)})
    keep(folder, tmp_path / "model.safetensors")
    assert not folder.exists()


def test_where_nothing_was_trained_there_is_nothing_to_keep(tmp_path):
    keep(tmp_path / "resume", tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_an_option_may_be_renamed_without_voiding_a_saved_state():
    """What decides the result are values; where it goes does not."""
    found = command_line.facts(Namespace(seed=3, languages=["en", "fr"], output="here", run_json="there"))
    assert found == command_line.facts(Namespace(chance=3, codes=["en", "fr"], output="elsewhere"))
    assert found != command_line.facts(Namespace(seed=4, languages=["en", "fr"], output="here"))
