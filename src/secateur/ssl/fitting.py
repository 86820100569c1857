"""What the jobs that train encoders share: their arguments, their data, and training itself."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from secateur.core.errors import SecateurError
from secateur.core.options import argument
from secateur.models.upstream.config import EncoderConfig
from secateur.speech.features import SAMPLE_RATE
from secateur.ssl.waves import Crops, WaveExamples
from secateur.training.hooks import TrainingHook
from secateur.training.loop import train
from secateur.training.options import TrainingOptions
from secateur.training.task import Task, note


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a `Task` and of `fit`."""
    parser.add_argument(
        "--training", type=argument(TrainingOptions, "training"), required=True, help="JSON: an entry of `training`"
    )
    parser.add_argument("--crop-seconds", type=float, default=15.6, help="longest piece of an utterance in a batch")
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="data directories to train on")
    parser.add_argument("--dev", type=Path, nargs="+", required=True, help="data directories for the dev loss")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the encoder")


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

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Waves":
        """The speech that a command was given."""
        return cls(arguments.train, arguments.dev, arguments.crop_seconds)


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
    """Train `model` on crops, save its history in the folder of the result, and note seed, device, steps, seconds.

    Args:
        config: of the encoder that the crops are for: pieces shorter than one of its frames are left out.
        inputs: further files that the result depends on: the checkpoint that training starts from, targets.
        targets: targets of every utterance, or None.
    """
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
    history = train(
        model,
        examples,
        crops(examples, task.seed).step,
        (dev, crops(dev, 0).epoch()),
        options,
        task.seed,
        task.device,
        task.state,
        task.identity([*files, *inputs]),
        hooks,
    )
    note(task, record, history)
