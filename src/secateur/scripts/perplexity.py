"""Measure a language model on texts: parameters, and its perplexity on each."""

import argparse
from pathlib import Path
from typing import Any

from secateur.core import devices
from secateur.core.errors import SecateurError
from secateur.core.files import write_json
from secateur.decoding.perplexity import perplexity
from secateur.models.load import load_model
from secateur.models.size import parameter_counts
from secateur.speech.datadir import read_table
from secateur.speech.tokens import Tokenizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lm", type=Path, required=True, help="folder of the language model")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt of the language model")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories with the texts")
    parser.add_argument("--names", nargs="+", required=True, help="what to call each text")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to compute")
    parser.add_argument("--output", type=Path, required=True, help="perplexity.json to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device = devices.pick(arguments.device)
    loaded, tokenizer = load_model(arguments.lm, device), Tokenizer.load(arguments.tokens)
    if tokenizer.tokens != loaded.tokens:
        raise SecateurError(f"{arguments.tokens}: not the token list of {arguments.lm}; give the one it was trained on")
    texts = {}
    for name, data in zip(arguments.names, arguments.data, strict=True):
        sentences = [text for text in read_table(data / "text").values() if text]
        texts[name] = perplexity(loaded.model, tokenizer, sentences)
    write_json(arguments.output, parameter_counts(loaded.model) | {"texts": texts})
