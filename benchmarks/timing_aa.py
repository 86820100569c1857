"""Whether times can be trusted: an A/A test and an A/B test of the protocol, through the real decoder.

In every run, copies of one model and a slower one, with as many more layers as make --more percent more arithmetic, are
timed as the tables' systems are (`secateur.decoding.timing.measure`). Weights and speech are random.

    A/A    the share of pairs of copies that are called different: 5 % or less of intervals of 95 % should. The upper
           end of its own 95 % interval, clustered by run, must be at most 8 %.
    A/B    the share of runs in which the slower one is called slower than the first copy: at least 80 %.

Runs that the protocol itself doubts are counted, too, and their number is printed: other work on the machine makes
times doubtful that are right. If a share is not within its limit, it exits with status 1.

    python benchmarks/timing_aa.py            # some 8 minutes
"""

import argparse
import copy
import itertools
import logging
import sys
import time
import warnings
from typing import Any

import numpy as np
import torch

from secateur.decoding.options import TimingAmount
from secateur.decoding.recognize import Features, Recognizer, encode, timed
from secateur.decoding.timing import measure, relative_time
from secateur.models.build import build_model
from secateur.speech.tokens import Tokenizer
from secateur.statistics.estimates import TestSet, error_rate

AMOUNT = TimingAmount()
"""Utterances and rounds of a study that gives none."""
MOST_DIFFERENT, LEAST_SLOWER = 8.0, 80.0  # percent
TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz'", "<sos/eos>"]
LAYERS = 10
CONFIG: dict[str, Any] = {
    "type": "ctc",
    "features": 80,
    "input": "stack",
    "stack": 4,
    "encoder": {
        "type": "transformer",
        "layers": LAYERS,
        "dim": 64,
        "heads": 4,
        "ffn": 256,
        "dropout": 0.1,
        "attention_dropout": 0.0,
    },
    "intermediate_ctc": {"layers": [], "weight": 0.0},
    "stochastic_depth": 0.0,
}
SEARCH = {"type": "ctc_greedy", "batch": 1, "batch_frames": 10**9}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=80, help="at least 2 (default: %(default)s)")
    parser.add_argument("--copies", type=int, default=5, help="of the model (default: %(default)s)")
    parser.add_argument("--more", type=float, default=10, help="percent of work (default: %(default)s)")
    parser.add_argument("--utterances", type=int, default=AMOUNT.utterances, help="of 1 to 4 s (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=AMOUNT.rounds, help="(default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.runs < 2 or arguments.copies < 2:
        parser.error("--runs and --copies are at least 2")
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger().setLevel(logging.ERROR)  # ESPnet warns of what is meant to be; doubts are counted
    torch.set_num_threads(1)

    extra, more = slower(arguments.more)
    print(f"{LAYERS} layers, and {LAYERS + extra}: {more:.1f} % more multiply–accumulates; one thread")
    different, slower_runs, doubts, pairs, began = [], 0, 0, 0, time.time()
    for run in range(arguments.runs):
        found = once(arguments, extra, run)
        copies = [rows for name, rows in found.rows.items() if name != "slower"]
        calls = [decided(b, a) != 0 for a, b in itertools.combinations(copies, 2)]
        different.append(sum(calls))
        pairs = len(calls)
        slower_runs += decided(found.rows["slower"], found.rows[0]) > 0
        doubts += bool(found.doubt)
    share = error_rate(different, TestSet([pairs] * arguments.runs))
    rate = 100 * slower_runs / arguments.runs
    print(f"{arguments.runs} runs, {doubts} of them in doubt, {time.time() - began:.0f} s")
    within = {"A/A": bool(share.high <= MOST_DIFFERENT), "A/B": rate >= LEAST_SLOWER}
    words = {name: "within" if fine else "NOT within" for name, fine in within.items()}
    print(
        f"A/A: {share.value:.1f} % of {pairs * arguments.runs} pairs called different, at most {share.high:.1f} %; "
        f"{words['A/A']} the limit of {MOST_DIFFERENT:g} %"
    )
    print(f"A/B: called slower in {rate:.0f} % of the runs; {words['A/B']} the limit of {LEAST_SLOWER:g} %")
    return 0 if all(within.values()) else 1


def once(arguments: argparse.Namespace, extra: int, run: int):
    """Time the copies, named by number, and the slower model."""
    features = Features(made_up(arguments.utterances, run))
    first = model(LAYERS)
    models = dict(enumerate([first, *(copy.deepcopy(first) for _ in range(arguments.copies - 1))]))
    models["slower"] = model(LAYERS + extra)
    systems = {name: timed(Recognizer(each, Tokenizer(TOKENS)), SEARCH, features) for name, each in models.items()}
    durations = {name: length / 100 for name, length in features.lengths.items()}
    return measure(systems, 0, durations, arguments.rounds, seed=run)


def decided(rows: Any, baseline: Any) -> int:
    """1 where a system is called slower than the baseline, −1 faster, 0 undecided."""
    _, low, high = relative_time(rows, baseline)
    return int(low > 1) - int(high < 1)


def slower(percent: float) -> tuple[int, float]:
    """The fewest additional layers that make so much more arithmetic, and how much that is, in percent."""
    base, extra = macs(LAYERS), 1
    while (more := 100 * (macs(LAYERS + extra) / base - 1)) < percent - 0.5:
        extra += 1
    return extra, more


def macs(layers: int) -> int:
    """Multiply–accumulates of encoding five seconds, those of linear layers."""
    total = []

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
        total.append(inputs[0].numel() * module.out_features)

    measured = model(layers)
    for module in measured.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(count)
    with torch.inference_mode():
        encode(measured, torch.zeros(1, 500, CONFIG["features"]), torch.tensor([500]))
    return sum(total)


def model(layers: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(CONFIG | {"encoder": CONFIG["encoder"] | {"layers": layers}}, TOKENS).eval()


def made_up(utterances: int, seed: int) -> dict[str, np.ndarray]:
    """Random features (T, 80) of 1 to 4 seconds."""
    generator = np.random.default_rng(seed)
    return {
        f"utterance{index:04d}": generator.standard_normal((int(generator.integers(100, 400)), 80), np.float32)
        for index in range(utterances)
    }


if __name__ == "__main__":
    sys.exit(main())
