"""The arguments of commands that train encoders, and what the library calls them."""

import argparse
from pathlib import Path

from secateur.ssl.fitting import Waves
from secateur.training import command_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a `Task` that trains an encoder, and of its `Waves`."""
    command_line.add_training(parser, required=True)
    parser.add_argument("--crop-seconds", type=float, default=15.6, help="longest piece of an utterance in a batch")
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="data directories to train on")
    parser.add_argument("--dev", type=Path, nargs="+", required=True, help="data directories for the dev loss")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the encoder")


def waves(arguments: argparse.Namespace) -> Waves:
    """The speech that a command was given."""
    return Waves(arguments.train, arguments.dev, arguments.crop_seconds)
