"""What the jobs that train encoders share: their arguments, their data, and training itself."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from secateur.core import devices
from secateur.core.errors import SecateurError
from secateur.core.jobs import json_argument
from secateur.speech.features import SAMPLE_RATE
from secateur.ssl.encoder import EncoderConfig
from secateur.ssl.waves import Crops, WaveExamples
from secateur.training.loop import STATE, Method, identity, note, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `fit` reads."""
    parser.add_argument("--training", type=json_argument, required=True, help="JSON: an entry of `training`")
    parser.add_argument("--crop-seconds", type=float, default=15.6, help="longest piece of an utterance in a batch")
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="data directories to train on")
    parser.add_argument("--dev", type=Path, nargs="+", required=True, help="data directories for the dev loss")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the encoder")


def fit(
    arguments: argparse.Namespace,
    record: dict[str, Any],
    model: torch.nn.Module,
    config: EncoderConfig,
    methods: Sequence[Method] = (),
    inputs: Sequence[Path] = (),
    targets: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Train `model` on crops, save its history in `arguments.output`, and note seed, device, steps, seconds.

    Args:
        config: of the encoder that the crops are for: pieces shorter than one of its frames are left out.
        inputs: further files that the result depends on: the checkpoint that training starts from, targets.
        targets: targets of every utterance, or None.
    """
    options, device = arguments.training, devices.pick(arguments.device)
    budget = int(options["batch_seconds"] * SAMPLE_RATE)
    crop = int(arguments.crop_seconds * SAMPLE_RATE)
    if not config.receptive_field < crop <= budget:
        raise SecateurError(
            f"crops of {arguments.crop_seconds:g} s in batches of {options['batch_seconds']:g} s; a crop must hold a "
            "frame and fit into a batch"
        )
    examples, dev = (WaveExamples(folders, config.hop, targets) for folders in (arguments.train, arguments.dev))

    def crops(found: WaveExamples, seed: int) -> Crops:
        lengths = {name: length for name, length in found.lengths.items() if length > config.receptive_field}
        return Crops(lengths, crop, budget, seed, config.hop)

    values = {name: str(value) for name, value in vars(arguments).items() if name not in ("output", "run_json")}
    tables = ("wav.scp", "segments", "utt2dur")
    files = [folder / name for folder in (*arguments.train, *arguments.dev) for name in tables]
    history = train(
        model,
        examples,
        crops(examples, arguments.seed).step,
        (dev, crops(dev, 0).epoch()),
        options,
        arguments.seed,
        device,
        arguments.output / STATE,
        identity(values, [*files, *inputs]),
        methods,
    )
    note(arguments, record, device, history)
