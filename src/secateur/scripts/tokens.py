"""Make the token list of a corpus from its training text, or take that of a model that was trained elsewhere."""

import argparse
from pathlib import Path
from typing import Any

from secateur.models import formats
from secateur.speech.datadir import read_table
from secateur.speech.tokens import take_tokens, write_tokens


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text", type=Path, nargs="+", default=[], help="Kaldi `text` files")
    parser.add_argument("--pretrained", type=Path, help="folder of a model whose token list to take")
    parser.add_argument("--type", default="char", choices=["char", "bpe"], help="kind of units")
    parser.add_argument("--size", type=int, default=500, help="number of byte-pair pieces")
    parser.add_argument("--output", type=Path, required=True, help="tokens.txt; bpe.model is written beside it")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    if arguments.pretrained:
        found = formats.describe(arguments.pretrained)
        take_tokens(arguments.output.parent, found.tokens, found.pieces)
        return
    texts = [text for path in arguments.text for text in read_table(path).values()]
    write_tokens(arguments.output.parent, texts, arguments.type, arguments.size)
