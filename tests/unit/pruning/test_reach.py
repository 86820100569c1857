"""How far weights may move between two adaptations, by hand, against what a mask over a dense model keeps."""

import json

import pytest
import torch
from tiny import PLAIN, TOKENS, run_script

from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.pruning.engines.calendar import Calendar, movement
from secateur.pruning.engines.mask import Mask
from secateur.pruning.engines.ranking import smallest
from secateur.pruning.reach import doubts, reaches
from secateur.training.options import TrainingOptions

CONFIG = {
    "seeds": [1, 2],
    "corpora": {"talk": {"recipe": "espeak", "languages": ["en", "fr"]}},
    "training": {
        "retrain": {"steps": 100, "learning_rate": 1e-3, "warmup": 0, "schedule": "wsd", "evaluate_every": 50}
    },
    "pruning": {
        "p": {
            "levels": [0.5, 0.7], "training": "retrain", "adapt_every": 25, "settle": 0.4, "steps_per": "language",
            "ranking": "global", "include": [], "exclude": [], "soft": "regrow",
        }
    },
    "dense": [{"corpus": "talk", "model": "ctc", "scopes": ["all"]}],
    "prune": [
        {
            "corpus": "talk", "model": "ctc", "schedule": "p", "variant": None, "methods": ["lth", "lth-adaptive"],
            "pathways": [{"languages": ["en", "fr"], "method": "dynamic", "start": [["lth", 0.5]]}],
        }
    ],
    "layers": [], "regularise": [], "heads": [], "ssl": [],
}  # fmt: skip


def test_the_movement_is_the_greatest_sum_of_rates_between_two_adaptations():
    options = TrainingOptions(steps=20, learning_rate=0.1, warmup=2, schedule="constant")
    # Rates 0.05, 0.1, 0.1 …: of 0-5, 5-10 and 10-12, for 8 of 20 steps settle. Of two, each has every other step.
    assert movement(options, Calendar([0.7], 20, 5, 0.4), 1) == pytest.approx(0.5)
    assert movement(options, Calendar([0.7], 20, 5, 0.4), 2) == pytest.approx(0.05 + 9 * 0.1)
    assert movement(options, Calendar([0.7], 20, 100, 0.4), 1) == pytest.approx(0.05 + 11 * 0.1)
    # Only the last level counts: 15 rates of a line from 0.1 down over 30 steps, 0.1·(1 − k/30).
    linear = TrainingOptions(steps=30, learning_rate=0.1, schedule="linear")
    wanted = sum(0.1 * (1 - k / 30) for k in range(16, 31))
    assert movement(linear, Calendar([0.5, 0.7], 30, 100), 1) == pytest.approx(wanted)


def test_the_smallest_weight_of_a_mask():
    scores = {"a": torch.tensor([0.5, -0.1, 0.3]), "b": torch.tensor([-0.2, 0.05])}
    bits = {"a": torch.tensor([True, False, True]), "b": torch.tensor([True, False])}
    assert smallest(scores, Mask.of(bits)) == pytest.approx(0.2)


@pytest.fixture
def folder(tmp_path):
    """The results of a study whose dense model has prunable weights of 0.001 to 1."""
    torch.manual_seed(0)
    model = build_model(PLAIN, TOKENS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.linspace(1e-3, 1, parameter.numel()).view(parameter.shape))
    save_model(tmp_path / "models/talk/ctc/all/dense/s000/seed1", model, PLAIN, TOKENS)
    return tmp_path


def with_schedule(rate=1e-3, **changes):
    config = json.loads(json.dumps(CONFIG))
    config["training"]["retrain"]["learning_rate"] = rate
    config["pruning"]["p"] |= changes
    return config


def test_a_schedule_under_which_no_mask_can_change_is_told_before_a_run(folder, capsys):
    found = {reach.run.method: reach for reach in reaches(CONFIG, folder)}
    assert list(found) == ["lth-adaptive", "dynamic-lth-s500"], "once for all seeds and languages"
    # 25 steps of 0.001, and of two languages 50; of 0.001 … 1 in a line the largest 30 % begin just above 0.7.
    assert [reach.movement for reach in found.values()] == pytest.approx([0.025, 0.05])
    assert [reach.threshold for reach in found.values()] == pytest.approx([0.7, 0.7], abs=0.01)
    assert found["dynamic-lth-s500"].doubt == (
        "talk ctc all dynamic-lth-s500: no mask can change: between two adaptations a weight moves by at most 0.05, "
        "and the smallest in a mask is 0.702; raise adapt_every or the learning rate, or set soft: straight_through"
    )
    assert doubts(CONFIG, str(folder)) == [reach.doubt for reach in found.values()]
    # 25 steps of 0.03 are 0.75: beyond 0.702, but not twice as far; 50 are 1.5, which is.
    record = run_script("movement", "--study", json.dumps(with_schedule(rate=0.03)), "--root", folder)
    assert len(record["doubts"]) == 1
    assert capsys.readouterr().out.startswith("warning: talk ctc en lth-adaptive: hardly a mask can change: between")


def test_nothing_is_said_of_masks_that_keep_dense_values_or_of_a_model_that_is_not_there(folder):
    assert not any(reach.doubt for reach in reaches(with_schedule(soft="straight_through"), folder))
    assert doubts(with_schedule(soft="straight_through"), str(folder)) == []
    assert [reach.threshold for reach in reaches(CONFIG, folder / "other")] == [None, None]
    assert doubts(CONFIG, str(folder / "other")) == []
