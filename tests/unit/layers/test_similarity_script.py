"""The similarity script on two tiny models: its tables, and what it refuses."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import CTC, LM, NO_INNER_LOSS, TOKENS, script, with_encoder, write_features

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.speech.datadir import Utterance, write_data_dir

SMALL = with_encoder(CTC, layers=1, dim=8, ffn=16) | {"stack": 4, "intermediate_ctc": NO_INNER_LOSS}
LARGE = with_encoder(SMALL, type="conformer", layers=2, dim=16)
MODELS = {
    "small": SMALL,
    "large": LARGE,
    "slow": SMALL | {"stack": 3},
    "coarse": SMALL | {"stack": 40},
    "narrow": SMALL | {"features": 10},
    "lm": LM,
}
FRAMES = {"u1": 410, "u2": 300, "u3": 240}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("similarity")
    torch.manual_seed(0)
    for name, config in MODELS.items():
        save_model(folder / name, build_model(config, TOKENS), config, TOKENS)
    utterances = [Utterance(name, f"{name}.wav", "ab", "s", "en", 1.0) for name in FRAMES]
    write_data_dir(folder / "data", utterances)
    write_features(folder / "features", FRAMES)
    return folder


def compare(folder: Path, *models: str, **more) -> dict:
    given = {
        "names": list(models),
        "data": [folder / "data"],
        "features": [folder / "features"],
        "utterances": None,
        "variance": 0.99,
        "batch_frames": 800,
        "device": "cpu",
        "output": folder / "out" / "similarity.tsv",
        "curves": None,
    }
    record = {}
    script("similarity").run(Namespace(models=[folder / model for model in models], **(given | more)), record)
    return record


def test_every_pair_of_layers_once(folder):
    record = compare(folder, "small", "large")
    assert record == {"device": "cpu", "utterances": 3, "frames": 103 + 75 + 60, "layers": 5}
    table = read_tsv(folder / "out" / "similarity.tsv")
    layers = [("small", "0"), ("small", "1"), ("large", "0"), ("large", "1"), ("large", "2")]
    pairs = [(a, b) for first, a in enumerate(layers) for b in layers[first:]]
    for measure in ("svcca", "cka"):
        rows = [row for row in table if row["measure"] == measure]
        assert [((row["model_a"], row["layer_a"]), (row["model_b"], row["layer_b"])) for row in rows] == pairs
        for row, (a, b) in zip(rows, pairs, strict=True):
            assert float(row["value"]) == pytest.approx(1) if a == b else 0 < float(row["value"]) < 1
    assert len(table) == 30

    curves = json.loads((folder / "out" / "curves.json").read_text())
    assert (curves["frames"], curves["variance"]) == (238, 0.99)
    assert [(row["model"], str(row["layer"])) for row in curves["layers"]] == layers
    assert [row["width"] for row in curves["layers"]] == [8, 8, 16, 16, 16]
    kept = {(row["model"], row["layer"]): row["kept"] for row in curves["layers"]}
    values = iter(row for row in table if row["measure"] == "svcca")
    for curve in curves["curves"]:
        row, coefficients = next(values), curve["coefficients"]
        assert (curve["model_b"], str(curve["layer_b"])) == (row["model_b"], row["layer_b"])
        sides = kept[curve["model_a"], curve["layer_a"]], kept[curve["model_b"], curve["layer_b"]]
        assert len(coefficients) == min(sides)
        assert float(row["value"]) == pytest.approx(np.mean(coefficients), abs=1e-6)


def test_a_part_of_the_utterances_is_always_the_same_part(folder):
    frames = {compare(folder, "small", utterances=2)["frames"] for _ in range(2)}
    assert len(frames) == 1
    assert frames < {178, 163, 135}
    assert compare(folder, "small", utterances=9)["utterances"] == 3


def test_too_few_frames_are_warned_of(folder, caplog):
    compare(folder, "coarse")
    assert "SVCCA is high for lack of data" not in caplog.text
    compare(folder, "coarse", utterances=1)
    assert "SVCCA is high for lack of data" in caplog.text


@pytest.mark.parametrize(
    ("models", "more", "message"),
    [
        (("small", "slow"), {}, "has 103 frames in small and 137 in slow|has 75 .* 100 in slow|has 60 .* 80 in slow"),
        (("small", "narrow"), {}, "small reads 20 mel bins and narrow 10"),
        (("small", "lm"), {}, "lm: holds a model of type 'transformer_lm', not an acoustic model"),
        (("small", "small"), {}, "two models are called 'small'"),
        (("small", "large"), {"names": ["one"]}, "--names has 1 and --models 2"),
        (("small",), {"data": []}, "--data has 0 folders and --features 1"),
        (("small",), {"utterances": 0}, "--utterances is 0; it must be 1 or more"),
        (("small",), {"variance": 1.5}, "cannot keep 1.5 of the variance"),
    ],
)
def test_what_does_not_fit_is_refused(folder, models, more, message):
    with pytest.raises(SecateurError, match=message):
        compare(folder, *models, **more)
