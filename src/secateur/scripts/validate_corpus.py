"""Check prepared data directories against the token list, before training, and write a summary table.

Errors stop here, each with the utterances by name: unreadable or empty recordings, empty transcripts, ids in two
places, missing speakers, transcripts too long for their frames, characters outside the token list. Notes are logged.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

from secateur.core.files import write_tsv
from secateur.speech.corpora.validate import COLUMNS, check_alphabet, validate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpus: DATA/{language}/{split}")
    parser.add_argument("--languages", nargs="+", required=True, help="ISO 639-1 codes")
    parser.add_argument("--splits", nargs="+", required=True, help="e.g. train dev test")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt")
    parser.add_argument("--frame-shift-ms", type=float, default=10.0, help="shift of the features' frames")
    parser.add_argument(
        "--input-layers", nargs="*", default=["conv2d"], help="of the models to train: conv2d, or stack:FRAMES"
    )
    parser.add_argument("--speeds", type=float, nargs="+", default=[1.0], help="speeds of the training data's copies")
    parser.add_argument("--rate", type=int, default=16000, help="sampling rate of the features, Hz")
    parser.add_argument("--model", help="name of the model that the token list is of, where it is not the corpus' own")
    parser.add_argument("--output", type=Path, required=True, help="summary table, tab-separated")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    if arguments.model:
        check_alphabet(arguments.data, arguments.languages, arguments.splits, arguments.tokens, arguments.model)
    rows, findings = validate(
        arguments.data,
        arguments.languages,
        arguments.splits,
        arguments.tokens,
        arguments.frame_shift_ms,
        arguments.input_layers,
        arguments.speeds,
        arguments.rate,
    )
    for message in findings.messages():
        logging.warning("%s", message)
    record["notes"] = findings.messages()
    findings.raise_errors()
    write_tsv(arguments.output, COLUMNS, rows)
