"""The job of exported models: their ONNX files, and all test sets with each."""

from dataclasses import replace
from typing import Any

from secateur.exported import study as exported
from secateur.study import commands
from secateur.study.command import Command
from secateur.study.paths import Paths, run_of


def decode(paths: Paths, at: Any) -> Command:
    """A model in every format, on all splits and languages with one search."""
    entry = exported.entry_of(paths.config, run_of(at))
    return replace(commands.decode(paths, at, formats=entry["formats"]), name="decode_onnx")
