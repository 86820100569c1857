"""Say once how far a run is: what runs, with steps, loss and time left, and what failed. For another shell.

Reads the plan of the run and what its jobs write beside their logs, so it works for a run on a cluster, too.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from secateur.watch import lines, plan
from secateur.watch.forecast import forecast, read_states


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", help="name of the study (the one whose run began last)")
    parser.add_argument("--directory", type=Path, default=Path(), help="the folder of the run (here)")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    directory, now = arguments.directory, time.time()
    found = plan.read(directory / plan.newest(directory, arguments.study) / plan.NAME)
    states = read_states(found, directory)
    if not found.alive:
        print("The run has ended; this is how far it came.")
        now = max((state.told.get("updated", found.started) for state in states.values()), default=now)
    print("\n".join(lines.block(found, forecast(found, states, now), now)))
