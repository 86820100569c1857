"""Extract log-mel features of a data directory into a kaldiio archive, with their mean and variance."""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.jobs import threads
from secateur.speech.features import extract


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="data directory")
    parser.add_argument("--mel-bins", type=int, default=80, help="mel bins per frame")
    parser.add_argument("--speeds", type=float, nargs="+", default=[1.0], help="speeds to make copies at")
    parser.add_argument("--output", type=Path, required=True, help="folder for feats.ark, feats.scp, cmvn.json")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    extract(arguments.data, arguments.output, arguments.mel_bins, arguments.speeds, workers=threads())
