"""What the jobs that train encoders share: their data, and training itself."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from secateur.core import progress
from secateur.core.devices import autocast
from secateur.core.errors import SecateurError
from secateur.models.upstream.config import EncoderConfig
from secateur.speech.data import Batch
from secateur.speech.features import SAMPLE_RATE
from secateur.ssl.waves import Crops, WaveExamples
from secateur.training.hooks import TrainingHook
from secateur.training.loop import Dev, evaluate, train
from secateur.training.options import TrainingOptions
from secateur.training.task import Task, note


@dataclass(frozen=True)
class Waves:
    """Speech to train on.

    Attributes:
        train, dev: data directories.
        crop_seconds: length of the longest piece of an utterance in a batch.
    """

    train: Sequence[Path]
    dev: Sequence[Path]
    crop_seconds: float = 15.6


class Trainings:
    """Trainings of one model, one after another, with one history: steps and seconds go on, and no batch comes again.

    The saved state of each lies within that of the one before, so that a job which was killed repeats none.

    Args:
        task: where the result goes, and the seed and device of all.
        config: of the encoder that the crops are for: pieces shorter than one of its frames are left out.
        inputs: further files that the result depends on: the checkpoint that training starts from, targets.
        targets: targets of every utterance, or None.
        count: how many trainings there will be.

    Attributes:
        history: one row per evaluation.
        steps: of all trainings so far.
    """

    def __init__(
        self,
        task: Task,
        waves: Waves,
        config: EncoderConfig,
        inputs: Sequence[Path] = (),
        targets: Mapping[str, np.ndarray] | None = None,
        count: int = 1,
    ):
        self.task, self.waves, self.config, self.inputs, self.targets = task, waves, config, inputs, targets
        self.history: list[dict[str, Any]] = []
        self.steps, self._done, self._count = 0, 0, count
        self._folder = task.output

    def train(self, model: torch.nn.Module, options: TrainingOptions, hooks: Sequence[TrainingHook] = ()) -> None:
        """Train `model` on crops."""
        progress.JOB.part(self._done, self._count)
        task = replace(self.task, options=options, output=self._folder, before=self.steps)
        examples, plan, dev, files = _material(task, self.waves, self.config, self.targets)
        where = task.seed, task.device, task.state, task.identity([*files, *self.inputs])
        rows = train(model, examples, plan, dev, options, *where, hooks, task.before)
        seconds = self.history[-1]["seconds"] if self.history else 0
        self.history += [{**row, "step": row["step"] + self.steps, "seconds": row["seconds"] + seconds} for row in rows]
        self.steps, self._done, self._folder = self.steps + options.steps, self._done + 1, task.state

    def improve(self, record: dict[str, Any], model: torch.nn.Module, options: TrainingOptions) -> None:
        """Train `model`, what came of the trainings so far, on; keep that only where the dev loss is not higher for it.

        The record has the dev loss `before` and `after`, and whether what came after was `kept`.
        """
        task, device = replace(self.task, options=options), self.task.device
        start = copy.deepcopy(model.state_dict())
        _, _, dev, _ = _material(task, self.waves, self.config, None)

        def loss() -> float:
            return evaluate(model.to(device), *dev, device, autocast(device, options.precision))

        before = loss()
        self.train(model, options)
        after = loss()
        if not after <= before:
            model.load_state_dict(start)
        record["second"] = {"steps": options.steps, "before": before, "after": after, "kept": after <= before}

    def dev_batches(self) -> Iterator[Batch]:
        """What the dev loss is of."""
        _, _, (examples, batches), _ = _material(self.task, self.waves, self.config, None)
        return (examples.load(keys) for keys in batches)

    def note(self, record: dict[str, Any]) -> None:
        """Save the history in the folder of the result, and note seed, device, steps and seconds."""
        options = replace(self.task.options, steps=self.steps)
        note(replace(self.task, options=options), record, self.history)


def fit(
    task: Task,
    record: dict[str, Any],
    waves: Waves,
    model: torch.nn.Module,
    config: EncoderConfig,
    hooks: Sequence[TrainingHook] = (),
    inputs: Sequence[Path] = (),
    targets: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Train `model` as `task` says, once, and note it: see `Trainings`."""
    trainings = Trainings(task, waves, config, inputs, targets)
    trainings.train(model, task.options, hooks)
    trainings.note(record)


def _material(
    task: Task, waves: Waves, config: EncoderConfig, targets: Mapping[str, np.ndarray] | None
) -> tuple[WaveExamples, Callable[[int], list[str]], Dev, list[Path]]:
    """Examples and batches to train on, those for the dev loss, and the files that both come from."""
    options = task.options
    budget = int(options.batch_seconds * SAMPLE_RATE)
    crop = int(waves.crop_seconds * SAMPLE_RATE)
    if not config.receptive_field < crop <= budget:
        raise SecateurError(
            f"crops of {waves.crop_seconds:g} s in batches of {options.batch_seconds:g} s; a crop must hold a "
            "frame and fit into a batch"
        )
    examples, dev = (WaveExamples(folders, config.hop, targets) for folders in (waves.train, waves.dev))

    def crops(found: WaveExamples, seed: int) -> Crops:
        lengths = {name: length for name, length in found.lengths.items() if length > config.receptive_field}
        return Crops(lengths, crop, budget, seed, config.hop)

    tables = ("wav.scp", "segments", "utt2dur")
    files = [folder / name for folder in (*waves.train, *waves.dev) for name in tables]
    return examples, crops(examples, task.seed).step, (dev, crops(dev, 0).epoch()), files
