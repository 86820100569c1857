"""What a training is asked for, and what it leaves behind beside the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from secateur.core.devices import autocast_dtype
from secateur.core.files import identity, write_tsv
from secateur.core.jobs import LEFT_OVER, plain
from secateur.models.checkpoint import WEIGHTS, save_model
from secateur.training import state
from secateur.training.options import TrainingOptions

HISTORY_COLUMNS = ("step", "learning_rate", "train_loss", "dev_loss", "grad_norm", "utterances", "seconds")


@dataclass(frozen=True)
class Task:
    """A training, as a command line or a program of one's own asks for it.

    Attributes:
        options: as an entry of `training` in the configuration has them.
        output: folder of the result, with the saved state in it until the result is safe.
        seed: of every random choice.
        device: where to train.
        before: steps that earlier trainings of the same model took, whose batches are not repeated.
        facts: what else decides the result, for the identity of a saved state: without names, so that an option may
            be renamed.
    """

    options: TrainingOptions
    output: Path
    seed: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    before: int = 0
    facts: Sequence[str] = ()

    @property
    def state(self) -> Path:
        """Folder of the saved state."""
        return self.output / state.FOLDER

    def identity(self, files: Sequence[Path]) -> str:
        """That of the saved state of a training on the contents of `files`."""
        return identity([plain(self.options), self.seed, self.before, list(self.facts)], files)


def finish(
    task: Task,
    record: dict[str, Any],
    model: torch.nn.Module,
    config: Mapping[str, Any],
    tokens: Sequence[str],
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Save a trained model and its history in the folder of the result, and note what the job's record needs."""
    save_model(task.output, model, config, tokens)
    note(task, record, history)


def untrained(output: Path, record: dict[str, Any], seed: int) -> None:
    """Leave behind what a training does, of a model that is taken over as it is."""
    write_tsv(output / "history.tsv", HISTORY_COLUMNS, [])
    record |= {"seed": seed, "device": "cpu", "precision": str(torch.float32), "steps": 0, "processes": 1}


def note(task: Task, record: dict[str, Any], history: Sequence[Mapping[str, Any]]) -> None:
    """Save a training's history in the folder of the result, and note what the job's record needs."""
    write_tsv(task.output / "history.tsv", HISTORY_COLUMNS, history)
    record |= {
        "seed": task.seed,
        "device": str(task.device),
        "precision": str(autocast_dtype(task.device, task.options.precision) or torch.float32),
        "steps": task.options.steps,
        "processes": task.options.processes * task.options.nodes,
        "seconds": history[-1]["seconds"],  # of all the pieces of a run that was killed and went on
        LEFT_OVER: partial(state.keep, task.state, task.output / WEIGHTS),
    }
