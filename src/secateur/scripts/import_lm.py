"""Take over a trained language model from a folder, of this project or of another library, as it is or trained on."""

import argparse
from pathlib import Path
from typing import Any

import torch

from secateur.models import formats
from secateur.models.checkpoint import save_model
from secateur.scripts.import_model import take
from secateur.scripts.train_lm import transcripts
from secateur.speech.data import BatchPlan, TextExamples
from secateur.speech.tokens import Tokenizer, token_files
from secateur.training.acoustic import add_training
from secateur.training.loop import train
from secateur.training.task import Task, finish, untrained

SECTION = "language_models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pretrained", type=Path, required=True, help="folder of the language model")
    add_training(parser, required=False)
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="Kaldi `text` files")
    parser.add_argument("--dev", type=Path, nargs="+", required=True, help="Kaldi `text` files for the dev loss")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded = take(arguments.pretrained, arguments.tokens, SECTION)
    if arguments.training is None:
        save_model(arguments.output, loaded.model, loaded.config, loaded.tokens)
        untrained(arguments.output, record, arguments.seed)
        return
    torch.manual_seed(arguments.seed)
    task, tokenizer = Task.of(arguments), Tokenizer.load(arguments.tokens)
    training, dev = (TextExamples(transcripts(files), tokenizer) for files in (arguments.train, arguments.dev))
    plan = BatchPlan(training.lengths, task.options.batch_tokens, task.seed)
    dev_batches = BatchPlan(dev.lengths, task.options.batch_tokens, 0).epoch(0)
    files = [Path(file) for file in formats.describe(arguments.pretrained, SECTION).files]
    identity = task.identity([*token_files(arguments.tokens), *arguments.train, *arguments.dev, *files])
    history = train(
        loaded.model,
        training,
        plan.step,
        (dev, dev_batches),
        task.options,
        task.seed,
        task.device,
        task.state,
        identity,
    )
    finish(task, record, loaded.model, loaded.config, loaded.tokens, history)
