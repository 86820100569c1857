"""Train a neural language model on text."""

import argparse
from pathlib import Path
from typing import Any

import torch

from secateur import devices
from secateur.data import BatchPlan, TextExamples
from secateur.datadir import read_table
from secateur.jobs import job, json_argument
from secateur.models import build_model
from secateur.tokens import Tokenizer
from secateur.training import STATE, finish, identity, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=json_argument, required=True, help="JSON: an entry of `language_models`")
    parser.add_argument("--training", type=json_argument, required=True, help="JSON: an entry of `training`")
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="training text")
    parser.add_argument("--format", default="kaldi", choices=["kaldi", "plain"], help="of the training text")
    parser.add_argument("--dev", type=Path, nargs="+", required=True, help="Kaldi `text` files for the dev loss")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device = devices.pick(arguments.device)
    options = arguments.training
    tokenizer = Tokenizer.load(arguments.tokens)

    def sentences(path: Path, plain: bool) -> list[str]:
        lines = path.read_text(encoding="utf-8").splitlines() if plain else read_table(path).values()
        return [line.strip() for line in lines if line.strip()]

    plain = arguments.format == "plain"
    training = TextExamples([line for path in arguments.train for line in sentences(path, plain)], tokenizer)
    dev = TextExamples([line for path in arguments.dev for line in sentences(path, False)], tokenizer)
    plan = BatchPlan(training.lengths, options["batch_tokens"], arguments.seed)
    dev_batches = BatchPlan(dev.lengths, options["batch_tokens"], 0).epoch(0)
    torch.manual_seed(arguments.seed)
    model = build_model(arguments.model, tokenizer.tokens)
    state = arguments.output / STATE
    values = [arguments.model, options, arguments.seed, arguments.code]
    me = identity(values, [arguments.tokens, *arguments.train, *arguments.dev])
    history = train(model, training, plan.step, (dev, dev_batches), options, arguments.seed, device, state, me)
    finish(arguments, record, model, arguments.model, tokenizer.tokens, history)


if __name__ == "__main__":
    job(__doc__, add_arguments, run)
