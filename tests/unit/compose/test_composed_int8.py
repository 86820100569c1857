"""Compositions that end in int8: which exports they ask for, and what the exported model computes."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from studies import refusal
from tiny import CTC, GREEDY, TOKENS, run_script, with_encoder, write_corpus

from secateur.compose import study
from secateur.config.complete import complete
from secateur.core.files import read_json, read_tsv, write_json, write_tsv
from secateur.exported import commands as exported_commands
from secateur.exported import study as exported
from secateur.exported.systems import sub_models
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.surgery.heads import heads
from secateur.pruning.engines.mask import Mask
from secateur.pruning.masked import load_masked
from secateur.study.paths import Paths

BASE = yaml.safe_load((Path(__file__).resolve().parents[3] / "config.yaml").read_text())
CHAIN = [{"layers": 5}, {"mask": "lap", "sparsity": 0.5}]
INT8 = {"int8": True}


def composed(*chains, model="ctc"):
    return {"compose": [{"model": model, "chains": copy.deepcopy(list(chains))}]}


def test_the_last_step_makes_an_export_of_what_the_chain_makes():
    config = complete(BASE | composed([*CHAIN, INT8], CHAIN, [{"layers": 4}, INT8]))
    assert [len(chain) for chain in config["compose"][0]["chains"]] == [2, 1], "a chain with and without it is one"
    (entry,) = config["export"]  # that of the study, which has a search with a language model, too
    method = "compose--layers-greedy-5--mask-lap-500"
    assert entry["methods"] == ["dense", method, "compose--layers-greedy-4"] and entry["formats"] == ["onnx", "int8"]
    found = {run.method: run for _, run in exported.runs(config)}
    assert found.keys() == set(entry["methods"]) and found[method] in study.KIND.runs(config)


def test_a_model_that_is_not_exported_otherwise_is_in_int8_alone():
    config = complete(BASE | composed([{"layers": 5}, INT8], model="plain"))
    entry = config["export"][-1]
    assert (entry["model"], entry["formats"], entry["searches"]) == ("plain", ["int8"], ["greedy"])
    ((_, run),) = [one for one in exported.runs(config) if one[1].model == "plain"]
    assert run in study.bare_runs(config)
    wildcards = type("At", (), {**vars(run), "level": "s000", "search": "greedy"})
    command = exported_commands.decode(Paths(config), wildcards)
    assert command.options["formats"] == ["int8"] and command.options["model"].endswith(f"{run.method}/s000/seed1")


@pytest.mark.parametrize(
    "chain, said",
    [
        ([INT8], "chains[0][0].int8: allowed as the last step, alone, behind another"),
        ([INT8, CHAIN[0]], "chains[0][0].int8: allowed as the last step, alone, behind another"),
        (
            [CHAIN[0], {"heads": 0.5, "int8": True}],
            "chains[0][1].int8: allowed as the last step, alone, behind another",
        ),
    ],
)
def test_int8_that_is_not_a_last_step_is_refused(chain, said):
    assert f"compose[0].{said}" in refusal(composed(chain))


def test_a_shallow_headless_masked_model_is_exported_in_int8(tmp_path):
    """By the very commands of the steps; ONNX Runtime computes about what torch does, in fewer bytes."""
    config = with_encoder(CTC, layers=4, dim=32, ffn=96) | {"stochastic_depth": 0.0}
    torch.manual_seed(0)
    save_model(tmp_path / "whole", build_model(config, TOKENS), config, TOKENS)
    write_corpus(tmp_path)
    run_script("export_depth", "--model", tmp_path / "whole", "--keep", 1, 3, "--output", tmp_path / "shallow")
    rows = [
        dict(zip(("block", "layer", "head"), one, strict=True)) for one in heads(load_model(tmp_path / "shallow").model)
    ]
    rows = [row | {"importance": "gradient", "value": place, "normalised": place} for place, row in enumerate(rows)]
    write_tsv(tmp_path / "importance.tsv", rows[0], rows)
    run_script(
        *("prune_heads", "--model", tmp_path / "shallow", "--importances", tmp_path / "importance.tsv"),
        *("--share", 0.25, "--output", tmp_path / "headless"),
    )
    write_json(tmp_path / "training.json", {"steps": 1, "batch_seconds": 1.0, "learning_rate": 0.1, "average_best": 0})
    run_script(
        *("prune", "--method", "wanda", "--start", tmp_path / "headless", "--ranked", tmp_path / "headless"),
        *("--sparsity", 0.5, "--training", f"@{tmp_path / 'training.json'}", "--data", tmp_path / "data"),
        *("--features", tmp_path / "features", "--tokens", tmp_path / "tokens.txt", "--languages", "en", "fr"),
        *("--speeds", 1.0, "--seed", 1, "--device", "cpu", "--output", tmp_path / "masked"),
    )
    where = ("--data", tmp_path / "data/en/dev", "--features", tmp_path / "features/en/dev", "--device", "cpu")
    run_script(
        *("decode_onnx", "--model", tmp_path / "masked", *where, "--search", json.dumps(GREEDY)),
        *("--mask", tmp_path / "masked/masks/all.safetensors", "--formats", "onnx", "int8"),
        *("--output", tmp_path / "onnx"),
    )
    assert {row["sub_model"] for row in read_tsv(tmp_path / "onnx/hypotheses.tsv")} == {"onnx", "int8"}
    written = read_json(tmp_path / "onnx/onnx.json")["systems"]
    model = load_masked(tmp_path / "masked").model
    assert sum(bool((weight == 0).float().mean() > 0.3) for weight in model.parameters() if weight.dim() == 2) > 4
    assert len(heads(model)) == 3 and Mask.load(tmp_path / "masked/masks/all.safetensors").sparsity > 0.45
    assert written["int8"]["model_bytes"] < written["onnx"]["model_bytes"]  # of a tiny one, mostly the graph
    exported_model = dict(sub_models(model, tmp_path / "onnx/onnx.json"))["int8"]
    speech = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 60, 20), np.float32))
    lengths = torch.tensor([60] * 3)
    with torch.no_grad():
        expected = model.encode(speech, lengths)[0]
        expected = model.ctc.log_softmax(expected[0] if isinstance(expected, tuple) else expected)
    assert (
        1e-5 < (exported_model.ctc.log_softmax(exported_model.encode(speech, lengths)[0]) - expected).abs().mean() < 0.2
    )
