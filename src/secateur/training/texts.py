"""Training language models on texts: what the commands share that train one, train one on, or prune one."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from secateur.speech.data import BatchPlan, TextExamples
from secateur.speech.datadir import read_table
from secateur.training.hooks import TrainingHook
from secateur.training.loop import train
from secateur.training.task import Task


def add_texts(parser: argparse.ArgumentParser, train: str = "Kaldi `text` files to train on") -> None:
    """The options of every such command but for the model and its training; `train` says what its texts are."""
    parser.add_argument("--train", type=Path, nargs="+", required=True, help=train)
    parser.add_argument("--dev", type=Path, nargs="+", required=True, help="Kaldi `text` files for the dev loss")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")


def transcripts(paths: Iterable[Path]) -> list[str]:
    """The transcripts of Kaldi `text` files that are not empty."""
    return [text for path in paths for text in read_table(path).values() if text]


def learn(
    task: Task,
    model: torch.nn.Module,
    training: TextExamples,
    dev: TextExamples,
    files: Sequence[Path],
    hooks: Sequence[TrainingHook] = (),
) -> list[dict[str, Any]]:
    """Train `model` in place and return its history. `files` are those that the result depends on."""
    plan = BatchPlan(training.lengths, task.options.batch_tokens, task.seed)
    dev_batches = BatchPlan(dev.lengths, task.options.batch_tokens, 0).epoch(0)
    given = (task.options, task.seed, task.device, task.state, task.identity(files), hooks)
    return train(model, training, plan.step, (dev, dev_batches), *given)
