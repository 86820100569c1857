"""Extract log-mel features of a data directory into a kaldiio archive, with their mean and variance."""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.jobs import json_argument, threads
from secateur.speech import front_ends
from secateur.speech.features import extract


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="data directory")
    parser.add_argument("--mel-bins", type=int, default=80, help="mel bins per frame")
    parser.add_argument(
        "--front-end", type=json_argument, help="JSON: instead of log-mel energies, what a model from elsewhere reads"
    )
    parser.add_argument("--speeds", type=float, nargs="+", default=[1.0], help="speeds to make copies at")
    parser.add_argument("--output", type=Path, required=True, help="folder for feats.ark, feats.scp, cmvn.json")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    bins, compute = arguments.mel_bins, None
    if arguments.front_end:
        found = front_ends.front_end(arguments.front_end)
        bins, compute = found.width, found.compute
    extract(arguments.data, arguments.output, bins, arguments.speeds, threads(), compute)
