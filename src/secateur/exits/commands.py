"""The job of early exit: thresholds by dev data, and a model decoded at all of them."""

from dataclasses import asdict, replace
from typing import Any

from secateur.exits import study as exits
from secateur.exits.options import ExitOptions
from secateur.layers.commands import dev_options
from secateur.study import commands
from secateur.study.command import Command
from secateur.study.options import part
from secateur.study.paths import Paths, run_of


def decode(paths: Paths, at: Any) -> Command:
    """The thresholds of a model, and all test sets at each."""
    run = run_of(at)
    entry, dev = exits.entry_of(paths.config, run), dev_options(paths, run.corpus)
    about = {
        **asdict(part(ExitOptions, entry, "exits")),
        "dev_data": dev["data"],
        "dev_features": dev["features"],
    }
    command = commands.reading(commands.decode(paths, at, **about), *paths.dev(run.corpus))
    return replace(command, name="decode_exits")
