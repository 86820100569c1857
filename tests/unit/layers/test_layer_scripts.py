"""The scripts that search for layers and export a depth, on a tiny model: the files that they exchange and refuse."""

from argparse import Namespace

import pytest
import torch
from tiny import CTC, NO_INNER_LOSS, TOKENS, script, write_features

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv, write_json, write_tsv
from secateur.decoding.options import TimedGroup
from secateur.layers.rtf import depth_within
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.surgery.layers import keep_layers, layer_numbers
from secateur.speech.datadir import Utterance, write_data_dir

CONFIG = CTC | {"intermediate_ctc": NO_INNER_LOSS, "stochastic_depth": 0.0}
TEXTS = {"en": {"en-1": "a b", "en-2": "c"}, "fr": {"fr-1": "ab ab", "fr-2": "b a c"}}


@pytest.fixture
def folder(tmp_path):
    """A model, its tokens, and dev data of two languages."""
    torch.manual_seed(0)
    save_model(tmp_path / "model", build_model(CONFIG, TOKENS), CONFIG, TOKENS)
    (tmp_path / "tokens.txt").write_text("\n".join(TOKENS) + "\n")
    for language, texts in TEXTS.items():
        utterances = [Utterance(name, f"{name}.wav", text, "s", language, 0.5) for name, text in texts.items()]
        write_data_dir(tmp_path / "data" / language, utterances)
        write_features(tmp_path / "features" / language, dict.fromkeys(texts, 50))
    return tmp_path


def run(name, **arguments):
    record = {}
    script(name).run(Namespace(**arguments), record)
    return record


def find(folder, **given):
    arguments = {
        "model": folder / "model",
        "tokens": folder / "tokens.txt",
        "strategy": "greedy",
        "of": "encoder",
        "objective": "wer",
        "data": [folder / "data" / language for language in TEXTS],
        "features": [folder / "features" / language for language in TEXTS],
        "batch_seconds": 1.0,
        "similarity_curves": None,
        "memory": 0.1,
        "similarity": None,
        "similarity_model": None,
        "measure": "svcca",
        "seed": 1,
        "device": "cpu",
        "output": folder / "layers.json",
    }
    return run("layer_search", **arguments | given)


def cut(folder, **given):
    arguments = {
        "model": folder / "model",
        "layers": None,
        "depth": None,
        "keep": None,
        "of": None,
        "output": folder / "cut",
    }
    return run("export_depth", **arguments | given)


def test_depths_are_timed_in_rounds_and_the_whole_model_twice(folder):
    find(folder)
    entry = {"layers": str(folder / "layers.json"), "depths": [2, 1]}
    arguments = Namespace(
        systems={"whole": {"model": str(folder / "model"), "searches": {"greedy": entry}}},
        searches={"greedy": {"type": "ctc_greedy", "batch": 4, "batch_frames": 1000}},
        reference=None,
        groups={"quick": TimedGroup(searches=("greedy",), utterances=3, rounds=2)},
        data=[folder / "data" / language for language in TEXTS],
        features=[folder / "features" / language for language in TEXTS],
        tokens=None,
        train_text=[],
        seed=1,
        device="cpu",
        output=folder / "timing",
    )
    script("timing").run(arguments, {})
    rows = read_tsv(folder / "timing" / "timing.tsv")
    assert list(rows[0]) == list(script("timing").COLUMNS)
    # Three utterances of two languages are two of each.
    assert [(row["sub_model"], row["depth"], row["rounds"], row["utterances"]) for row in rows] == [
        (name, depth, "2", "4") for name, depth in (("", "3"), ("depth 2", "2"), ("depth 1", "1"), ("A/A", "3"))
    ]
    assert len({row["same"] for row in rows}) == 1 and float(rows[0]["same"]) > 0
    assert [float(rows[0][name]) for name in ("ratio", "ratio_low", "ratio_high")] == pytest.approx([1.0] * 3, abs=1e-6)
    assert depth_within(folder / "timing" / "timing.tsv", float("inf"), "cpu") == 3


def test_a_depth_is_found_and_exported(folder):
    record = find(folder)
    found = read_json(folder / "layers.json")
    assert found["dev_utterances"] == 4
    assert found["dev_batches"] == 2
    assert record == {"seed": 1, "device": "cpu", "layer_forwards": found["layer_forwards"]}
    assert 12 <= found["layer_forwards"] <= 14  # 3 + 2 + 1 + 0 on each batch, and one more if not 3 goes first
    assert set(found["depths"]) == {"3", "2", "1"}
    assert found["depths"]["2"].keys() == {"layers", "dev_loss", "dev_wer"}

    kept = found["depths"]["2"]["layers"]
    assert cut(folder, layers=folder / "layers.json", depth=2) == {"layers": kept, "of": "encoder"}
    exported = load_model(folder / "cut")
    assert layer_numbers(exported.model) == kept
    assert exported.tokens == TOKENS
    speech, lengths = torch.randn(1, 40, 20), torch.tensor([40])
    on_demand = keep_layers(load_model(folder / "model").model, kept)
    assert torch.equal(exported.model.encode(speech, lengths)[0], on_demand.encode(speech, lengths)[0])


def test_layers_may_be_named_instead(folder):
    assert cut(folder, keep=[3, 1]) == {"layers": [1, 3], "of": "encoder"}
    assert layer_numbers(load_model(folder / "cut").model) == [1, 3]


@pytest.mark.parametrize(
    "given",
    [{}, {"depth": 2}, {"layers": "layers.json"}, {"keep": [1], "depth": 2}, {"layers": "x", "depth": 2, "keep": [1]}],
    ids=str,
)
def test_layers_to_export_must_be_clear(folder, given):
    with pytest.raises(SecateurError, match="give both --layers and --depth, or --keep alone"):
        cut(folder, **given)


def test_a_depth_that_was_not_found_is_refused(folder):
    write_json(folder / "layers.json", {"depths": {"1": {"layers": [2]}}})
    with pytest.raises(SecateurError, match=r"layers.json: no depth 0; choose from 1"):
        cut(folder, layers=folder / "layers.json", depth=0)


def test_svcca_reads_the_table_of_similarities(folder):
    columns = ("measure", "model_a", "layer_a", "model_b", "layer_b", "value")
    values = [("svcca", "m", layer - 1, "m", layer, value) for layer, value in [(1, 0.7), (2, 0.8), (3, 0.6)]]
    write_tsv(folder / "similarity.tsv", columns, [dict(zip(columns, row, strict=True)) for row in values])
    find(folder, strategy="svcca", similarity=folder / "similarity.tsv")
    assert read_json(folder / "layers.json")["order_removed"] == [2, 1]
    with pytest.raises(SecateurError, match=r"of the layers \[\] were given"):
        find(folder, strategy="svcca", similarity=folder / "similarity.tsv", measure="cka")


def test_what_does_not_fit_together_is_refused(folder):
    with pytest.raises(SecateurError, match="--data has 2 folders and --features 1; give as many of both"):
        find(folder, features=[folder / "features" / "en"])
    (folder / "tokens.txt").write_text("\n".join([*TOKENS[:-1], "d", TOKENS[-1]]) + "\n")
    with pytest.raises(SecateurError, match=r"tokens.txt: not the token list of .*model"):
        find(folder)
