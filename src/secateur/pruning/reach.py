"""Whether a mask can change: how far a schedule lets a weight move, against the smallest weight that a mask holds.

AdamW moves a weight by at most about the learning rate a step, and most by a quarter of it. What an adaptation has set
to zero therefore takes a place in the mask at the next one only if the sum of learning rates between them is more than
the magnitude of the smallest weight that stays. In the default study's dense model 0.004 % of a mask changed at an
adaptation where the sum was that magnitude, and 0.6 to 0.9 % where it was twice as much (docs/masks.md).
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secateur.core.options import read
from secateur.pruning import commands, methods
from secateur.pruning.engines.calendar import GROWS_BACK, Calendar, movement
from secateur.pruning.options import RankingOptions
from secateur.pruning.study import dense_of, ends, schedule_of
from secateur.pruning.study import parents as parents_of
from secateur.study.runs import ModelRun, languages, model_runs
from secateur.training.options import TrainingOptions

WARNING = "warning: "
ENOUGH = 2.0
"""Times the smallest weight of a mask that a weight must be able to move, or hardly any gets there."""


@dataclass(frozen=True)
class Reach:
    """How far weights may move towards a place in a mask.

    Attributes:
        run: a model whose masks adapt, one for all that have the same.
        movement: the greatest sum of learning rates between two adaptations at the target.
        threshold: the smallest magnitude in the mask of that sparsity over the dense model; None if that is not there.
        grows_back: whether what is removed begins at zero; else it keeps its dense value, and no movement is needed.
    """

    run: ModelRun
    movement: float
    threshold: float | None
    grows_back: bool

    @property
    def doubt(self) -> str:
        """Why its masks cannot change, or hardly; empty if they can, or if that is not known."""
        if not self.grows_back or self.threshold is None or self.movement > ENOUGH * self.threshold:
            return ""
        run, no = self.run, "no" if self.movement <= self.threshold else "hardly a"
        return (
            f"{run.corpus} {run.model} {run.scope} {run.method}: {no} mask can change: between two adaptations a "
            f"weight moves by at most {self.movement:.3g}, and the smallest in a mask is {self.threshold:.3g}; "
            "raise adapt_every or the learning rate, or set soft: straight_through"
        )


def reaches(config: Mapping[str, Any], folder: Path) -> Iterator[Reach]:
    """Of every model at its target whose masks adapt, but for other seeds and languages alone: how far weights move.

    Args:
        folder: that of the study's results.
    """
    seen, measured = set(), {}
    for run in model_runs(config):
        if not _ranks_again(run) or not ends(config, run):
            continue
        schedule, made_from = schedule_of(config, run), parents_of(config, run)
        method = methods.parse(run.method).method
        count = len(languages(config, run.corpus, run.scope)) if method.from_masks else 1
        place = (run.corpus, run.model, run.method, run.scope if method.from_masks else "")
        if place in seen:
            continue
        seen.add(place)
        training = read(TrainingOptions, commands.training_of(config, run))
        levels = list(made_from.sparsities) or [run.sparsity]
        calendar = Calendar(levels, training.steps, schedule.own["adapt_every"], schedule.settle)
        dense = folder / dense_of(run).folder
        asked = (dense, run.sparsity, schedule.ranked)
        if asked not in measured:
            measured[asked] = threshold(*asked)
        grows_back = schedule.own["soft"] == GROWS_BACK
        yield Reach(run, movement(training, calendar, count), measured[asked], grows_back)


def doubts(config: Mapping[str, Any], folder: str) -> list[str]:
    """Which masks of a study cannot change, as far as its dense models are there.

    They are measured in a process of its own, so that a caller that lasts need not load torch.
    """
    growing = [
        run for run in model_runs(config) if _ranks_again(run) and schedule_of(config, run).own["soft"] == GROWS_BACK
    ]
    if not any((Path(folder) / dense_of(run).folder / "model.safetensors").is_file() for run in growing):
        return []
    command = [sys.executable, "-m", "secateur", "movement", "--root", folder, "--study", json.dumps(config)]
    done = subprocess.run(command, capture_output=True, text=True)
    return [line.removeprefix(WARNING) for line in done.stdout.splitlines() if line.startswith(WARNING)]


def _ranks_again(run: ModelRun) -> bool:
    """Whether the masks of a model adapt by magnitude."""
    return bool(run.mask_changes) and "soft" in methods.parse(run.method).method.options


def threshold(model: Path, sparsity: float, ranked: RankingOptions) -> float | None:
    """The smallest magnitude that a mask of this sparsity over the model in a folder keeps; None if it is not there."""
    if not (model / "model.safetensors").is_file():
        return None
    from secateur.models.load import load_model
    from secateur.pruning.engines.mask import prunable, weights
    from secateur.pruning.engines.ranking import magnitude_mask, smallest

    loaded = load_model(model).model
    candidates = weights(loaded, prunable(loaded, ranked.include, ranked.exclude))
    return smallest(candidates, magnitude_mask(candidates, sparsity, ranked.ranking))
