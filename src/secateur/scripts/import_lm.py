"""Take over a trained language model from a folder, of this project or of another library, as it is or trained on."""

import argparse
from pathlib import Path
from typing import Any

import torch

from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.scripts.import_model import take
from secateur.speech.data import TextExamples
from secateur.speech.tokens import Tokenizer, token_files
from secateur.training import command_line
from secateur.training.task import finish, untrained
from secateur.training.texts import add_texts, learn, transcripts

SECTION = "language_models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pretrained", type=Path, required=True, help="folder of the language model")
    command_line.add_training(parser, required=False)
    add_texts(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded = take(arguments.pretrained, arguments.tokens, SECTION)
    if arguments.training is None:
        save_model(arguments.output, loaded.model, loaded.config, loaded.tokens)
        untrained(arguments.output, record, arguments.seed)
        return
    torch.manual_seed(arguments.seed)
    task, tokenizer = command_line.task(arguments), Tokenizer.load(arguments.tokens)
    training, dev = (TextExamples(transcripts(files), tokenizer) for files in (arguments.train, arguments.dev))
    files = [Path(file) for file in formats.describe(arguments.pretrained, SECTION).files]
    files = [*token_files(arguments.tokens), *arguments.train, *arguments.dev, *files]
    history = learn(task, loaded.model, training, dev, files)
    finish(task, record, loaded.model, loaded.config, loaded.tokens, history)
