"""Score one upstream on SUPERB-style tasks: train a small head for each on its frozen hidden states, and test it.

Writes scores.json: every task's metrics with 95 % intervals, what the task is made of, and how long it took.
"""

import argparse
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import torch

from secateur.core import devices
from secateur.core.files import identity, write_json
from secateur.core.jobs import LEFT_OVER, json_argument
from secateur.ssl.tasks import prompts
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.hidden import GIGABYTE, Hidden
from secateur.ssl.tasks.run import DIRECTORIES
from secateur.ssl.tasks.run import run as run_tasks
from secateur.ssl.tasks.upstream import Fbank
from secateur.training import command_line, state

LOG_MEL = {"fbank": False, "fbank-cmvn": True}
"""Log-mel features, and whether they are normalised per clip."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--upstream", required=True, help="folder of an encoder, or `fbank` or `fbank-cmvn` for log-mel features"
    )
    parser.add_argument("--random", action="store_true", help="give the encoder random weights in place of its own")
    parser.add_argument("--tasks", type=json_argument, required=True, help="JSON: options of every task, by name")
    parser.add_argument("--data", type=Path, help="folder with {language}/{split} data directories")
    parser.add_argument("--languages", nargs="+", default=[], help="languages there")
    parser.add_argument("--splits", type=json_argument, default={}, help="JSON: folders of train, dev, test, if others")
    parser.add_argument("--memory", type=float, default=8.0, help="gigabytes of hidden states to keep")
    parser.add_argument("--rate", type=float, help="most frames a second that heads are given (the upstream's own)")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to compute")
    parser.add_argument("--output", type=Path, required=True, help="folder for scores.json")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device = devices.pick(arguments.device)
    torch.manual_seed(arguments.seed)
    encoder = upstream(arguments.upstream, device, arguments.random)
    hidden = Hidden(encoder, device, int(arguments.memory * GIGABYTE), arguments.rate)
    needed = any(options["source"] == DIRECTORIES for options in arguments.tasks.values())
    corpus = prompts.read(arguments.data, arguments.languages, arguments.splits) if needed else {}
    files = [] if arguments.upstream in LOG_MEL else sorted(Path(arguments.upstream).glob("*.safetensors"))
    files += sorted(arguments.data.glob("*/*/text")) if needed else []
    folder = arguments.output / state.FOLDER
    fit = Fit(arguments.seed, device, folder, identity(command_line.facts(arguments), files))
    scores = run_tasks(arguments.tasks, corpus, hidden, fit)
    write_json(arguments.output / "scores.json", {"upstream": arguments.upstream, "tasks": scores})
    record |= {
        "seed": arguments.seed,
        "device": str(device),
        "audio_seconds_encoded": round(hidden.seconds_encoded, 2),
        LEFT_OVER: partial(shutil.rmtree, folder, ignore_errors=True),
    }


def upstream(name: str, device: torch.device, random: bool = False) -> torch.nn.Module:
    """Log-mel features, or the encoder in the folder `name`; with `random` one like it, with random weights."""
    if name in LOG_MEL:
        return Fbank(LOG_MEL[name])
    from secateur.models.upstream.encoder import Encoder
    from secateur.ssl.checkpoints import load_upstream

    found = load_upstream(name, device)
    return Encoder(found.config).to(device).eval().requires_grad_(False) if random else found
