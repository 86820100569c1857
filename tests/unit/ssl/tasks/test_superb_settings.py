"""The study `wavlm-superb` against the values of s3prl 0.4.18's files, as docs/superb.md lists them."""

from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from secateur.config.complete import complete
from secateur.ssl.scales import superb_scale

ROOT = Path(__file__).parents[4]
# Clips that a step's gradient is of: s3prl's batch (of ASR, the half that is left of it) times its accumulation; steps;
# learning rate; steps between evaluations; and the micro-batches.
S3PRL = {
    "ks": (32, 200_000, 1e-4, 5000, 1),
    "ic": (32, 200_000, 1e-4, 5000, 1),
    "pr": (16 * 2, 100_000, 1e-2, 1000, 2),
    "asr": (32 // 2, 200_000, 1e-4, 2000, 1),
    "er": (4 * 8, 30_000, 1e-4, 1000, 8),
    "sf": (32, 200_000, 1e-4, 2000, 1),
    "sid": (8 * 4, 200_000, 1e-4, 5000, 4),
    "sv": (10 * 5, 200_000, 1e-4, 10_000, 5),
    "sd": (8 * 4, 30_000, 1e-4, 500, 4),
}
RECURRENT = {"projection": 1024, "hidden": 1024, "layers": 2, "dropout": 0.2, "stack": 1}
AUGMENTED = {"frequency_masks": 4, "frequency_width": 50, "time_masks": 2, "time_frames": 40, "time_warp": 5}


@pytest.fixture(scope="module")
def tasks():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    update_config(config, yaml.safe_load((ROOT / "workflow/studies/wavlm-superb.yaml").read_text()))
    return complete(config)["ssl"][0]["tasks"]


def test_all_ten_tasks_are_superbs_own(tasks):
    assert set(tasks) == set(superb_scale().tasks) == {*S3PRL, "qbe"}
    assert {options["source"] for options in tasks.values()} == {"official"} and tasks["asr"]["search"] is None


@pytest.mark.parametrize("task", S3PRL)
def test_batches_steps_and_rates_are_s3prls(task, tasks):
    training = tasks[task]["training"]
    clips = training["clips"] or training["batch"]
    found = (clips, training["steps"], training["learning_rate"], training["evaluate_every"], training["accumulate"])
    assert found == S3PRL[task]
    assert (training["clips"] is None) == (task in ("ks", "ic", "er", "sid")), "of others `batch` is seconds"
    assert (training["schedule"], training["warmup"], training["beta2"]) == ("constant", 0, 0.999)
    verification = task == "sv"
    assert training["clip"] == (1000 if verification else 1)
    assert training["weight_decay"] == (0.01 if verification else 0)
    assert training["select"] == ("loss" if verification else "metric")


def test_heads_augmentation_sampling_and_crops_are_s3prls(tasks):
    for task in ("asr", "sf"):
        assert RECURRENT.items() <= tasks[task].items()
        assert AUGMENTED.items() <= tasks[task]["specaug"].items()
    assert tasks["asr"]["lm_search"] == {"beam": 5, "beam_threshold": 25, "lm_weight": 2, "word_score": -1}
    assert all(tasks[task]["projection"] == 256 for task in ("ks", "ic", "pr", "er", "sid"))
    assert tasks["ks"]["balanced"] and not tasks["ks"]["balance"]
    for task in ("sid", "sv"):
        assert (tasks[task]["crop"], tasks[task]["max_seconds"]) == ("random", 128_000 / 16_000)
    verification = {"min_seconds": 2, "projection": 512, "hidden": 512, "pooled": 1500, "scale": 30, "margin": 0.4}
    assert verification.items() <= tasks["sv"].items()
    assert (tasks["sd"]["hidden"], tasks["sd"]["max_seconds"]) == (512, 2000 * 320 / 16_000)
