"""What the benchmarks of pruning measure, and the ratios that they make of it."""

import argparse
import importlib.util
import json
import logging
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from secateur.decoding.timing import Measurement
from secateur.models.build import build_model
from secateur.models.tensors import read_tensors
from secateur.training.options import SpecAugment, TrainingOptions

ROOT = Path(__file__).resolve().parents[2]
MODEL = {
    "type": "ctc",
    "features": 8,
    "input": "stack",
    "stack": 3,
    "encoder": {
        "type": "conformer",
        "layers": 1,
        "dim": 16,
        "heads": 2,
        "ffn": 32,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "kernel": 3,
    },
    "intermediate_ctc": {"layers": [], "weight": 0.0},
    "stochastic_depth": 0.0,
}
TRAINING = TrainingOptions(
    steps=1,
    batch_seconds=6,
    accumulate=1,
    learning_rate=0.001,
    weight_decay=0.01,
    warmup=0,
    schedule="constant",
    clip=5.0,
    precision="float32",
    evaluate_every=100,
    average_best=0,
    checkpoint_seconds=3600,
)
UNMASKED = SpecAugment(frequency_masks=0, time_masks=0)


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def masking():
    return load("masking")


def test_every_way_goes_on_from_its_last_turn_and_tells_when_it_adapts(masking, tmp_path):
    torch.manual_seed(0)
    dense = build_model(MODEL, masking.TOKENS)
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    arguments = argparse.Namespace(ways=list(masking.WAYS), sparsity=0.5, every=10, steps=20)
    times = masking.measure(dense, masking.Speech(8), TRAINING, torch.device("cpu"), arguments, tmp_path)
    measured = [step for step in range(20) if step % 10 >= masking.LEFT_OUT]
    for way, steps in times.items():
        assert sorted(steps) == measured and all(seconds > 0 for seconds, _ in steps.values()), way
    adapted = {way: [step for step, (_, adapts) in steps.items() if adapts] for way, steps in times.items()}
    assert adapted["adaptive"] == adapted["straight-through"] == [9, 19]
    assert len(adapted.pop("dynamic")) > 0
    assert {way for way, steps in adapted.items() if steps} == {"adaptive", "straight-through"}
    assert all(torch.equal(value, before[name]) for name, value in dense.state_dict().items())

    for way, masked in {"dense": False, "fixed": True, "adaptive": True}.items():
        tensors, texts = read_tensors(tmp_path / way / "state.safetensors")
        assert json.loads(texts["state"])["step"] == 20
        weight = tensors["model.encoder.encoders.0.feed_forward.w_1.weight"]
        assert bool((weight == 0).any()) == masked, way


def test_ratios_by_hand(masking, capsys):
    """An adaptive step takes 1.02 dense steps, and 2.02 if the mask adapts: every tenth makes 1.12."""
    lengths = {step: 1.0 + step for step in range(9)}
    times = {
        "dense": {step: (length, False) for step, length in lengths.items()},
        "fixed": {step: (1.01 * length, False) for step, length in lengths.items()},
        "adaptive": {step: ((2.02 if step == 4 else 1.02) * length, step == 4) for step, length in lengths.items()},
        "pathways": {step: (3.0 * length, False) for step, length in lengths.items()},
    }
    assert masking.report(times, every=10) == ["adaptive"]
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows["fixed"] == ["5050.0", "1.010", "1.010", "≤", "1.03"]
    assert rows["adaptive"][1:] == ["1.020", "2.020", "1.120", "≤", "1.05"]
    assert rows["pathways"][1:] == ["3.000", "3.000"]
    assert masking.report(times, every=50) == []


@pytest.fixture
def step(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return load("training")


def test_the_products_of_a_step_by_hand(step):
    """Two utterances of ten stacked frames, one layer of width 16 with two heads; positions are shared by both."""
    model = step.build(MODEL, replace(TRAINING, specaug=UNMASKED))
    batch = {"speech": torch.randn(2, 30, 8), "speech_lengths": torch.tensor([30, 21])}
    batch |= {"text": torch.tensor([[3, 4], [5, 5]]), "text_lengths": torch.tensor([2, 2])}
    counted = sum(math.prod(a) * b[-1] for a, b in step.products(model, batch))
    linear = 24 * 16 + 4 * 16 * 32 + 4 * 16 * 16 + 16 * 32 + 16 * 16 + 16 * len(step.TOKENS)
    assert counted == 20 * linear + 19 * 16 * 16 + 2 * 2 * (2 * 10 * 8 * 10 + 10 * 8 * 19)


def test_the_comparison_is_with_espnets_own_classes_of_the_same_sizes(step):
    options = replace(TRAINING, specaug=UNMASKED)
    ours, theirs = step.build(MODEL, options), step.as_espnet(step.build(MODEL, options), MODEL)
    names = {type(module).__name__ for module in theirs.encoder.modules()}
    assert {"RelPositionMultiHeadedAttention", "ConvolutionModule", "BatchNorm1d", "Swish", "Dropout"} <= names
    assert not [module for module in theirs.encoder.modules() if type(module).__module__.startswith("secateur")]
    shapes = [{name: value.shape for name, value in model.named_parameters()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    audio, times = step.measure(MODEL, options, 4)
    assert set(times) == {"ours", "espnet", "products"}
    assert all(len(taken) == len(audio) == 4 - step.LEFT_OUT and min(taken) > 0 for taken in times.values())


def test_the_speed_of_a_step_is_told_in_audio_and_ratios(step, capsys):
    step.report([10.0, 30.0], {"ours": [0.5, 1.0], "espnet": [1.0, 1.5]})
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows == [["ours", "0.750", "25.0", "1.00"], ["espnet", "1.250", "15.0", "1.75"]]


@pytest.mark.parametrize(("cpu", "memory", "missed"), [(9.0, 1.9, ""), (11.0, 1.0, "ours"), (1.0, 2.1, "ours")])
def test_ranking_is_held_to_its_aims(cpu, memory, missed, monkeypatch):
    ranking = load("ranking")

    def measured(command, **_):
        ours = command[command.index("--ways") + 1] == "ours"
        result = {"seconds": cpu, "cpu": cpu if ours else 99.0, "memory": memory if ours else 99.0, "mask": "0" * 64}
        return subprocess.CompletedProcess(command, 0, json.dumps(result))

    monkeypatch.setattr(ranking.subprocess, "run", measured)
    monkeypatch.setattr(sys, "argv", ["ranking.py", "--ways", "ours", "sort", "--check"])
    if missed:
        with pytest.raises(SystemExit, match=rf"over 10 s or 2 times the weights' memory: {missed}$"):
            ranking.main()
    else:
        ranking.main()


def test_ranking_agrees_with_a_stable_sort(monkeypatch):
    ranking = load("ranking")
    masks = {way: ranking.measure(way, 100_000, 0.7, 1)["mask"] for way in ("ours", "within", "sort")}
    assert len(set(masks.values())) == 1


def test_a_smaller_model_is_held_to_what_its_arithmetic_allows(capsys):
    """Half the arithmetic in 60 % of the time is 0.83 of what it allows, in 70 % only 0.71, round by round."""
    compaction = load("compaction")
    times = {
        "whole": [1.0, 2.0, 9.0],
        "near": [0.6, 1.2, 9.0],
        "near, masked": [1.0, 2.0, 9.0],
        "far": [0.7, 1.4, 0.1],
    }
    arguments = argparse.Namespace(encoder="transformer", seconds=10.0)
    macs = {"whole": 200, "near": 100, "far": 100}
    missed = compaction.report(times, macs, torch.device("cpu"), 1, arguments)
    assert missed == ["far (CPU, 1 thread, batch 1)"]
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[3:]}
    assert rows == {"near": ["2.00", "1.67", "0.83", "1.00"], "far": ["2.00", "1.43", "0.71", "<", "0.8"]}


def test_smaller_models_lack_the_shares_that_they_are_named_for():
    compaction = load("compaction")
    sizes = compaction.CONFIG["encoder"] | {"type": "transformer", "dim": 16, "ffn": 16}
    models = compaction.smaller_models(build_model(compaction.CONFIG | {"encoder": sizes}, compaction.TOKENS))
    assert len(models) == 1 + 4 * 3
    for name, (model, removed) in models.items():
        share = 0 if name == "whole" else int(name.rpartition(", ")[2].rstrip("%")) / 100
        assert len(compaction.heads(model)) == 48 * (1 - share)
        assert removed is None if name.startswith("layers") else len(removed) == 48 * share


def test_structured_shapes_are_equally_small_and_differ_in_where_it_is_left():
    structured = load("structured")
    config = structured.EncoderConfig(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=3, intermediate_size=96, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    found = structured.shapes(config)
    norms = 4 * 4 * 24
    sizes = {name: sum(p.numel() for p in encoder.encoder.layers.parameters()) for name, encoder in found.items()}
    for name in ("STE", "without STE"):
        assert 1 - (sizes[name] - norms) / (sizes["dense"] - norms) == pytest.approx(0.8, abs=0.005)
    assert [shape.heads is None for shape in found["STE"].config.shapes] == [True, True, False, False]
    assert [shape.ffn is None for shape in found["STE"].config.shapes] == [True, True, False, False]
    assert all(shape.heads and shape.ffn for shape in found["without STE"].config.shapes)
    assert 0 < structured.training(config, 1, torch.device("cpu")) < 100


def test_structured_speed_ups_are_held_to_their_arithmetic(capsys, monkeypatch):
    structured = load("structured")
    names = ("dense", "STE", "without STE")
    macs, seconds = iter((12e9, 4e9, 6e9)), ([8.0, 4.0, 4.0], [2.0, 2.0, 2.0], [6.0, 3.0, 2.0])
    monkeypatch.setattr(structured, "macs_per_second", lambda encoder: next(macs))
    rounds = [[{"round": number, "encoder_s": took} for number, took in enumerate(found)] for found in seconds]
    measured = Measurement(dict(zip(names, rounds, strict=True)), (1.0, 1.0, 1.0), 0.0, 1)
    monkeypatch.setattr(structured, "extracted", lambda *_: measured)
    encoders = {name: torch.nn.Linear(2, 3) for name in names}
    assert structured.extraction(encoders, [], 3, torch.device("cpu")) == ["STE", "without STE"]
    rows = capsys.readouterr().out.splitlines()
    assert rows[2].split() == ["STE", "0.00M", "4.00G", "2.000", "2.00", "0.67", "1.99", "<", "0.8"]
    assert rows[3].split()[2:] == ["0.00M", "6.00G", "3.000", "1.33", "0.67", "1.35", "<", "0.8"]


@pytest.mark.parametrize(
    ("copy", "slow", "status"), [(1.0, 1.1, 0), (1.05, 1.1, 1), (1.0, 1.0, 1)], ids=["sound", "A/A fails", "A/B fails"]
)
def test_a_share_of_pairs_beyond_its_limit_fails_the_benchmark(copy, slow, status, monkeypatch, capsys):
    """Two copies and a slower model, whose times differ by a factor without any noise."""
    timing = load("timing_aa")

    def once(*_):
        factors = {0: 1.0, 1: copy, "slower": slow}
        seconds = [(number, name, took) for number in (1, 2) for name, took in (("a", 1.0), ("b", 2.0))]
        facts = {"search_s": 0.0, "lm_s": 0.0}
        rows = {
            system: [
                {"round": number, "utterance": name, "duration_s": 1.0, "encoder_s": factor * took, **facts}
                for number, name, took in seconds
            ]
            for system, factor in factors.items()
        }
        return Measurement(rows, (1.0, 1.0, 1.0), 0.0, 1)

    monkeypatch.setattr("secateur.statistics.bootstrap.DRAWS", 100)
    monkeypatch.setattr(timing, "once", once)
    monkeypatch.setattr(timing, "slower", lambda percent: (1, percent))
    monkeypatch.setattr(sys, "argv", ["timing_aa.py", "--runs", "80", "--copies", "2"])
    threads, root = torch.get_num_threads(), logging.getLogger()
    level = root.level
    try:
        assert timing.main() == status
    finally:
        torch.set_num_threads(threads)
        root.setLevel(level)
    assert ("NOT within" in capsys.readouterr().out) == bool(status)


DAG = """digraph snakemake_dag {
    0[label = "all", color = "0.1 0.6 0.85", style="rounded"];
    1[label = "decode\\nsearch: greedy", color = "0.1 0.6 0.85", style="rounded"];
    2[label = "decode\\nsearch: beam", color = "0.1 0.6 0.85", style="rounded"];
    3[label = "train\\nseed: 1", color = "0.1 0.6 0.85", style="rounded,dashed"];
    1 -> 0
    2 -> 0
    3 -> 1
    3 -> 2
}
"""


def test_a_makespan_by_hand():
    """A training of 10 s, then decodings of 4 and 6 s: 20 s on one node, 16 on two or more, the longest chain."""
    makespan = load("makespan")
    rules, after = makespan.read_dag(DAG)
    assert rules == {"0": "all", "1": "decode", "2": "decode", "3": "train"}
    assert after == {"0": {"1", "2"}, "1": {"3"}, "2": {"3"}, "3": set()}
    seconds = {"0": 0.0, "1": 4.0, "2": 6.0, "3": 10.0}
    assert [makespan.makespan(nodes, seconds, after) for nodes in (1, 2, 8)] == [20.0, 16.0, 16.0]
    assert makespan.critical_path(seconds, after) == 16.0
    # Five jobs that wait for nothing, of 3, 3, 2, 2, 2 s, on two nodes: [3, 2, 2] and [3, 2].
    alone = {str(number): set() for number in range(5)}
    assert makespan.makespan(2, dict(zip(alone, (3.0, 3.0, 2.0, 2.0, 2.0), strict=True)), alone) == 7.0


def test_core_seconds_are_told_apart_by_kind():
    overhead = load("overhead")
    records = [
        {"command": "train", "cpu_seconds": 50.0, "start_cpu_seconds": 4.0},
        {"command": "decode", "cpu_seconds": 20.0, "start_cpu_seconds": 4.0},
        {"command": "layer-search", "cpu_seconds": 10.0, "start_cpu_seconds": 2.0},
        {"command": "train", "cpu_seconds": None, "start_cpu_seconds": 1.0},
    ]
    found = overhead.by_kind(records, 100.0)
    assert (found["training"], found["decoding"], found["measuring"]) == (46.0, 16.0, 8.0)
    assert (found["starting up"], found["Snakemake and shells"]) == (10.0, 20.0)
    assert overhead.outside(found) == 0.3


def test_products_with_masked_matrices_agree_or_are_named(capsys, monkeypatch):
    """Every way is checked against the dense product of the same matrix; what has no kernel says why."""
    blocks = load("blocks")
    torch.manual_seed(0)
    found, missing = blocks.ways(torch.randn(16, 32), torch.randn(5, 32), 0.75)
    assert found.keys() | missing.keys() == {
        "dense", "unstructured, torch CSR", "1 × 8 blocks, torch BSR", "2:4, torch"
    }  # fmt: skip
    assert {"dense", "unstructured, torch CSR"} <= found.keys()
    assert all(way().shape == (5, 16) for way in found.values())
    monkeypatch.setattr(
        sys, "argv", ["blocks.py", "--rounds", "1", "--products", "1", "--dim", "16", "--device", "cpu"]
    )
    assert blocks.main() == 0
    assert "1.00 times dense" in capsys.readouterr().out


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return load("gpu")


def test_steps_of_jobs_that_share_a_gpu_by_hand(gpu):
    """Eight jobs make 90 steps a second in sum, one made 15, ESPnet's eight 60; the products alone would allow 300."""
    row = gpu.line("ours", 8, 90.0, 15.0, 60.0, 300.0)
    assert row.split() == ["ours", "8", "90.0", "6.00", "1.50", "30.0", "%"]
    assert gpu.line("ours", 1, 90.0, 90.0, None, "failed: no products").split()[-2:] == ["–", "–"]


def test_without_a_gpu_the_benchmark_says_so_in_a_line(gpu, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    assert capsys.readouterr().out == "no GPU is visible: nothing was measured\n"
