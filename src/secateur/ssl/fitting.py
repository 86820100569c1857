"""What the jobs that train encoders share: their data, and training itself."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

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


def fit(
    task: Task,
    record: dict[str, Any],
    waves: Waves,
    model: torch.nn.Module,
    config: EncoderConfig,
    hooks: Sequence[TrainingHook] = (),
    inputs: Sequence[Path] = (),
    targets: Mapping[str, np.ndarray] | None = None,
) -> list[dict[str, Any]]:
    """Train `model` on crops, save its history in the folder of the result, and note seed, device, steps, seconds.

    Args:
        config: of the encoder that the crops are for: pieces shorter than one of its frames are left out.
        inputs: further files that the result depends on: the checkpoint that training starts from, targets.
        targets: targets of every utterance, or None.

    Returns the history, one row per evaluation.
    """
    examples, plan, dev, files = _material(task, waves, config, targets)
    history = train(
        model,
        examples,
        plan,
        dev,
        task.options,
        task.seed,
        task.device,
        task.state,
        task.identity([*files, *inputs]),
        hooks,
    )
    note(task, record, history)
    return history


def again(
    task: Task,
    record: dict[str, Any],
    waves: Waves,
    model: torch.nn.Module,
    config: EncoderConfig,
    options: TrainingOptions,
    history: Sequence[Mapping[str, Any]],
    inputs: Sequence[Path] = (),
) -> None:
    """Train `model`, what came of `task`, on by `options`, and keep that only where the dev loss is not higher for it.

    Its rows are added to `history`, that of `task`, with the steps and seconds going on; the record has the dev loss
    `before` and `after`, and whether what came after was `kept`. Its state is within that of `task`.
    """
    second = replace(task, options=options, output=task.state, before=task.options.steps)
    examples, plan, dev, files = _material(second, waves, config, None)
    start, device = copy.deepcopy(model.state_dict()), task.device

    def loss() -> float:
        return evaluate(model.to(device), *dev, device, autocast(device, options.precision))

    before = loss()
    rows = train(
        model, examples, plan, dev, options, task.seed, device, second.state, second.identity([*files, *inputs]), (),
        second.before,
    )  # fmt: skip
    after = loss()
    if not after <= before:
        model.load_state_dict(start)
    steps, seconds = task.options.steps, history[-1]["seconds"]
    later = [{**row, "step": row["step"] + steps, "seconds": row["seconds"] + seconds} for row in rows]
    note(replace(task, options=replace(task.options, steps=steps + options.steps)), record, [*history, *later])
    record["second"] = {"steps": options.steps, "before": before, "after": after, "kept": after <= before}


def dev_batches(task: Task, waves: Waves, config: EncoderConfig) -> Iterator[Batch]:
    """What the dev loss of `task` is of."""
    _, _, (examples, batches), _ = _material(task, waves, config, None)
    return (examples.load(keys) for keys in batches)


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
