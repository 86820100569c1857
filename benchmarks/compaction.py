"""How much time removing attention heads or layers saves, against the arithmetic that it saves, and against masking.

The model is a CTC Transformer or Conformer of a realistic size: 12 layers, 256 wide, 4 heads, FFN 2048, frames stacked
by 4. Its weights are random and so is the speech: the time does not depend on them. Of it 25, 50 and 75 % of the heads
are removed, in three ways (from every layer alike; whole attention blocks, lowest first; at random), and as many of the
layers. For each the benchmark prints

    MACs        multiply–accumulates of encoding, whole model ÷ smaller one: the speed-up that arithmetic allows
    speed-up    time of encoding, whole model ÷ smaller one: the median over rounds of the ratio within the round
    of MACs     speed-up ÷ MACs; the aim is 0.8 at least
    masked      speed-up of the same heads masked instead; layers have no mask

All models take turns, one utterance at a time, so that a machine that is busy for a while slows all of them. Of a CPU
it is one thread's time, of a GPU wall-clock time, with one utterance and with a batch. A round counts as many runs as
take about half a second.

    python benchmarks/compaction.py --encoder transformer --check
"""

import argparse
import copy
import logging
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from secateur.heads.order import removal_order, removed_at
from secateur.models.build import build_model
from secateur.models.size import encoding_cost
from secateur.models.surgery.heads import Head, heads, masked, remove_heads
from secateur.models.surgery.layers import keep_layers

AIM = 0.8
SHARES = (0.25, 0.5, 0.75)
BINS, LAYERS = 80, 12
TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz'", "<sos/eos>"]
CONFIG: dict[str, Any] = {
    "type": "ctc",
    "features": BINS,
    "input": "stack",
    "stack": 4,
    "encoder": {
        "layers": LAYERS,
        "dim": 256,
        "heads": 4,
        "ffn": 2048,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "kernel": 15,
    },
    "intermediate_ctc": {"layers": [], "weight": 0.0},
    "stochastic_depth": 0.0,
}
Run = Callable[[], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="transformer", choices=["transformer", "conformer"])
    parser.add_argument("--seconds", type=float, default=10.0, help="of the utterance (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="utterances in a GPU's batch (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each model (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help=f"fail when a speed-up is below {AIM} of the MACs")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger().setLevel(logging.ERROR)  # ESPnet warns of what is meant to be
    torch.set_num_threads(1)

    torch.manual_seed(0)
    whole = build_model(CONFIG | {"encoder": CONFIG["encoder"] | {"type": arguments.encoder}}, TOKENS).eval()
    models = smaller_models(whole)
    macs = {name: encoding_cost(model, BINS)["macs_per_second"] for name, (model, _) in models.items()}
    missed = measure(models, macs, torch.device("cpu"), 1, arguments)
    if torch.cuda.is_available():
        for batch in (1, arguments.batch):
            missed += measure(models, macs, torch.device("cuda"), batch, arguments)
    else:
        print("\nno GPU is visible: only the CPU was measured")
    if arguments.check and missed:
        sys.exit(f"speed-ups below {AIM} of the MACs: {', '.join(missed)}")


def smaller_models(whole: torch.nn.Module) -> dict[str, tuple[torch.nn.Module, list[Head] | None]]:
    """The whole model and the smaller ones by name, with the heads that each lacks; None where layers are removed."""
    every = {head: float(head.head) for head in heads(whole)}
    shuffled = random.Random(0).sample(list(every), len(every))
    orders = {
        "heads, per layer": removal_order("per-layer", every),
        "heads, by layer": removal_order("by-layer", every),
        "heads, random": shuffled,
    }
    found: dict[str, tuple[torch.nn.Module, list[Head] | None]] = {"whole": (whole, [])}
    for name, order in orders.items():
        for share in SHARES:
            removed = removed_at(order, share)
            found[f"{name}, {share:.0%}"] = (remove_heads(copy.deepcopy(whole), removed), removed)
    for share in SHARES:
        count = round((1 - share) * LAYERS)
        kept = [round((position + 1) * LAYERS / count) for position in range(count)]
        found[f"layers, {share:.0%}"] = (keep_layers(copy.deepcopy(whole), kept), None)
    return found


def measure(
    models: dict[str, tuple[torch.nn.Module, list[Head] | None]],
    macs: dict[str, int],
    device: torch.device,
    batch: int,
    arguments: argparse.Namespace,
) -> list[str]:
    """Print the speed-up of every model; returns the names of those that miss the aim."""
    frames = round(arguments.seconds * 100)
    speech = torch.randn(batch, frames, BINS, generator=torch.Generator().manual_seed(0)).to(device)
    lengths = torch.full((batch,), frames, device=device)
    for model, _ in models.values():
        model.to(device)

    def runner(model: torch.nn.Module) -> Run:
        def run() -> None:
            encoder_out, _ = model.encode(speech, lengths)
            model.ctc.log_softmax(encoder_out)

        return run

    runs: dict[str, Run] = {name: runner(model) for name, (model, _) in models.items()}
    masks = {name: removed for name, (_, removed) in models.items() if removed}
    once = seconds(runs["whole"], device, 2)  # warms up, too
    count = max(1, round(0.5 / once))
    times: dict[str, list[float]] = {name: [] for name in (*runs, *(f"{name}, masked" for name in masks))}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            times[name].append(seconds(run, device, count))
            if name in masks:
                with masked(models["whole"][0], masks[name]):
                    times[f"{name}, masked"].append(seconds(runs["whole"], device, count))
    return report(times, macs, device, batch, arguments)


@torch.inference_mode()
def seconds(run: Run, device: torch.device, count: int) -> float:
    """Seconds of one of `count` runs, after one in vain: CPU time on a CPU, which others' work does not lengthen."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = clock()
    for _ in range(count):
        run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (clock() - started) / count


def report(
    times: dict[str, list[float]], macs: dict[str, int], device: torch.device, batch: int, arguments: argparse.Namespace
) -> list[str]:
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, 1 thread"
    whole = times["whole"]
    print(f"\n{arguments.encoder} {LAYERS} × {CONFIG['encoder']['dim']}, {place}, batch {batch}, ", end="")
    print(f"{arguments.seconds:g} s of speech: {1000 * statistics.median(whole):.1f} ms")
    print(f"{'':24}{'MACs':>8}{'speed-up':>10}{'of MACs':>9}{'masked':>8}")
    missed = []
    for name in macs:
        if name == "whole":
            continue
        allowed, found = macs["whole"] / macs[name], speed_up(whole, times[name])
        mark = "" if found / allowed >= AIM else f"  < {AIM}"
        column = f"{speed_up(whole, times[f'{name}, masked']):8.2f}" if f"{name}, masked" in times else f"{'':8}"
        print(f"{name:24}{allowed:8.2f}{found:10.2f}{found / allowed:9.2f}{column}{mark}")
        missed += [f"{name} ({place}, batch {batch})"] if mark else []
    return missed


def speed_up(whole: list[float], smaller: list[float]) -> float:
    """The median over rounds of the ratio of times within the round."""
    return statistics.median(one / other for one, other in zip(whole, smaller, strict=True))


if __name__ == "__main__":
    main()
