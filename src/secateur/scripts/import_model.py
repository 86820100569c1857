"""Take over a trained acoustic model from a folder, of this project or of another library, as it is or trained on."""

import argparse
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.models.load import Loaded
from secateur.speech.tokens import Tokenizer
from secateur.training import acoustic, command_line
from secateur.training.task import untrained


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pretrained", type=Path, required=True, help="folder of the model")
    command_line.add_training(parser, required=False)
    command_line.add_data(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded = take(arguments.pretrained, arguments.tokens)
    if arguments.training is None:
        save_model(arguments.output, loaded.model, loaded.config, loaded.tokens)
        untrained(arguments.output, record, arguments.seed)
        return
    torch.manual_seed(arguments.seed)
    files = [Path(file) for file in formats.describe(arguments.pretrained).files]
    task, material = command_line.task(arguments), command_line.material(arguments)
    acoustic.fit(task, record, material, loaded.model, loaded.config, inputs=files)


def take(folder: Path, tokens: Path, section: str = formats.MODELS) -> Loaded:
    """The model in a folder. Raises SecateurError if its token list is not the one in the file `tokens`."""
    loaded = formats.load(folder, section)
    if loaded.tokens != Tokenizer.load(tokens).tokens:
        raise SecateurError(f"{folder}: its token list is not that of {tokens}; delete that file and run again")
    return loaded
