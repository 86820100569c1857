"""Train a neural language model on text."""

import argparse
import logging
from pathlib import Path
from typing import Any

import torch

from secateur.core.jobs import json_argument
from secateur.core.options import argument
from secateur.models.build import build_model
from secateur.speech.corpora.lm_text import read_sentences
from secateur.speech.data import BatchPlan, TextExamples
from secateur.speech.datadir import read_table
from secateur.speech.tokens import UNKNOWN, Tokenizer, check_coverage, token_files
from secateur.training.loop import train
from secateur.training.options import TrainingOptions
from secateur.training.task import Task, finish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=json_argument, required=True, help="JSON: an entry of `language_models`")
    parser.add_argument(
        "--training", type=argument(TrainingOptions, "training"), required=True, help="JSON: an entry of `training`"
    )
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="training text")
    parser.add_argument(
        "--text-languages",
        nargs="+",
        help="language of each file of --train, which then is plain text, one sentence a line, and is normalised; "
        "without it they are Kaldi `text` files, which are normalised already",
    )
    parser.add_argument(
        "--tags",
        type=json_argument,
        default={},
        help="JSON: tags in plain text, as `transcript` takes them: non_speech, which are left out, and unknown",
    )
    parser.add_argument("--dev", type=Path, nargs="+", required=True, help="Kaldi `text` files for the dev loss")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    task = Task.of(arguments)
    options = task.options
    tokenizer = Tokenizer.load(arguments.tokens)
    training = TextExamples(training_sentences(arguments, tokenizer), tokenizer)
    dev = TextExamples(transcripts(arguments.dev), tokenizer)
    plan = BatchPlan(training.lengths, options.batch_tokens, task.seed)
    dev_batches = BatchPlan(dev.lengths, options.batch_tokens, 0).epoch(0)
    torch.manual_seed(task.seed)
    model = build_model(arguments.model, tokenizer.tokens)
    identity = task.identity([*token_files(arguments.tokens), *arguments.train, *arguments.dev])
    history = train(
        model, training, plan.step, (dev, dev_batches), options, task.seed, task.device, task.state, identity
    )
    finish(task, record, model, arguments.model, tokenizer.tokens, history)


def training_sentences(arguments: argparse.Namespace, tokenizer: Tokenizer) -> list[str]:
    """The sentences of --train; text that is not the corpus' own is normalised and has to fit the token list."""
    if not arguments.text_languages:
        return transcripts(arguments.train)
    sentences = []
    for path, language in zip(arguments.train, arguments.text_languages, strict=True):
        found = read_sentences(path, language, **arguments.tags)
        share = check_coverage(found, tokenizer, f"{path} ({language})")
        logging.info("%s: %d sentences, %.3f %% of the tokens are %s", path, len(found), 100 * share, UNKNOWN)
        sentences += found
    return sentences


def transcripts(paths: list[Path]) -> list[str]:
    """The transcripts of Kaldi `text` files that are not empty."""
    return [text for path in paths for text in read_table(path).values() if text]
