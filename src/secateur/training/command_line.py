"""The arguments of commands that train, and what the library calls them."""

import argparse
from pathlib import Path

from secateur.core import devices
from secateur.core.jobs import plain
from secateur.core.options import argument
from secateur.training.acoustic import Material, Speech
from secateur.training.options import TrainingOptions
from secateur.training.task import Task


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a `Task` that trains an acoustic model, and of its `Material`."""
    add_training(parser, required=True)
    add_data(parser)


def add_training(parser: argparse.ArgumentParser, required: bool) -> None:
    """An entry of `training`."""
    kind = argument(TrainingOptions, "training")
    parser.add_argument("--training", type=kind, required=required, help="JSON: an entry of `training`")


def add_data(parser: argparse.ArgumentParser) -> None:
    """All but the entry of `training`."""
    parser.add_argument("--data", type=Path, required=True, help="folder with {language}/{split} data directories")
    parser.add_argument("--features", type=Path, required=True, help="folder with {language}/{split} features")
    parser.add_argument("--speeds", type=float, nargs="+", default=[1.0], help="speeds that the training features hold")
    parser.add_argument("--languages", nargs="+", required=True, help="languages to train on")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt")
    parser.add_argument("--before", type=int, default=0, help="steps of earlier trainings, not to repeat their batches")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")


def task(arguments: argparse.Namespace) -> Task:
    """The training that a command was asked for."""
    device, before = devices.pick(arguments.device), getattr(arguments, "before", 0)
    return Task(arguments.training, arguments.output, arguments.seed, device, before, facts(arguments))


def material(arguments: argparse.Namespace, monolingual: bool = False) -> Material:
    """The data that a command was given."""
    speech = Speech(arguments.data, arguments.features, arguments.languages, arguments.tokens, arguments.speeds)
    options = arguments.training
    return Material(speech, options.batch_seconds, arguments.seed, monolingual, options.temperature)


def facts(arguments: argparse.Namespace) -> list[str]:
    """What decides the result of a command: the values of its options but for where the result goes."""
    return [str(plain(value)) for name, value in vars(arguments).items() if name not in ("output", "run_json")]
