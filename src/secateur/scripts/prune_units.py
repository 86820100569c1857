"""Remove a share of the units of every feed-forward network: a smaller checkpoint, computing what is left.

In Whisper the networks are those of encoder and decoder. See prune-channels, which does the same to channels.
"""

import argparse
from typing import Any

from secateur.heads.parts import UNITS
from secateur.scripts import prune_channels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    prune_channels.add_arguments(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    prune_channels.remove(arguments, record, UNITS)
