"""Turn one language of a fetched corpus into Kaldi-style data directories, one per split.

Writes OUTPUT/{train,dev,test…}/, OUTPUT/dropped.tsv (what was left out, and why) and OUTPUT/source.json.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from secateur.core.jobs import json_argument
from secateur.speech.corpora import preparation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--options", type=json_argument, required=True, help="the corpus' entry of the configuration, with all its keys"
    )
    parser.add_argument("--language", required=True, help="ISO 639-1 code")
    parser.add_argument("--cache", type=Path, required=True, help="folder given to fetch-corpus")
    parser.add_argument("--speeds", type=float, nargs="+", default=[1.0], help="speeds of the training data's copies")
    parser.add_argument("--alphabet", type=json_argument, help="JSON: case and apostrophe of the texts")
    parser.add_argument("--output", type=Path, required=True, help="folder for the data directories")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    prepared = preparation.prepare(arguments.options, arguments.language, arguments.cache, arguments.speeds)
    if arguments.alphabet:
        prepared = preparation.in_alphabet(prepared, arguments.alphabet)
    preparation.write_prepared(arguments.output, prepared)
    record["utterances"] = {split: len(utterances) for split, utterances in prepared.splits.items()}
    record["dropped"] = Counter(entry.reason for entry in prepared.dropped)
