"""Train a neural language model on text."""

import argparse
import logging
from typing import Any

import torch

from secateur.core.jobs import json_argument
from secateur.core.options import argument
from secateur.models.build import build_model
from secateur.speech.corpora.lm_text import read_sentences
from secateur.speech.data import TextExamples
from secateur.speech.tokens import UNKNOWN, Tokenizer, check_coverage, token_files
from secateur.training import command_line
from secateur.training.options import TrainingOptions
from secateur.training.task import finish
from secateur.training.texts import add_texts, learn, transcripts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=json_argument, required=True, help="JSON: an entry of `language_models`")
    parser.add_argument(
        "--training", type=argument(TrainingOptions, "training"), required=True, help="JSON: an entry of `training`"
    )
    add_texts(parser, "training text")
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


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    task = command_line.task(arguments)
    tokenizer = Tokenizer.load(arguments.tokens)
    training = TextExamples(training_sentences(arguments, tokenizer), tokenizer)
    dev = TextExamples(transcripts(arguments.dev), tokenizer)
    torch.manual_seed(task.seed)
    model = build_model(arguments.model, tokenizer.tokens)
    files = [*token_files(arguments.tokens), *arguments.train, *arguments.dev]
    history = learn(task, model, training, dev, files)
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
