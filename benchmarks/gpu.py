"""Steps of training a second on a GPU that 1, 4, 8 and 12 jobs share, and how near that is to what the GPU could do.

    ours      the step of `secateur.training.loop`: forward, backward, clipping, AdamW, a model of the zoo
    compiled  the same with its encoder compiled to CUDA graphs (torch.compile, mode reduce-overhead), which cuts the
              launches of kernels; compiling takes a minute or more and is not counted
    eager     the step with the encoder class of ESPnet as it is, of the same sizes, and torch's own dropout

Every job is a process with a model of its own, as a study's jobs are; they begin together, under CUDA's multi-process
service where it starts. `share` is that of a bound: as many steps as one process does of nothing but a step's matrix
products. On a machine without a GPU there is nothing to measure (--device cpu tries the benchmark out).

    python benchmarks/gpu.py
    python benchmarks/gpu.py --jobs 1 8 --ways ours --seconds 20
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from masking import Speech, recipe
from training import as_espnet, build, multiplications, stepper

from secateur.core import mps
from secateur.speech.data import BatchPlan

WAYS = ("ours", "compiled", "eager")
BOUND = "products"
BATCHES = 8  # different ones, which take turns
READY = "ready\n"
WARM = 10  # steps before the clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 4, 8, 12], help="at a time (default: 1 4 8 12)")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS, help="(default: all)")
    parser.add_argument("--model", default="ctc-multilingual", help="a model of the study pretrain (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--work", help=argparse.SUPPRESS)  # what a job does; without it, this process starts the jobs
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments)
    elif arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU is visible: nothing was measured")
    else:
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Measure all ways with all numbers of jobs, and print a line for each as it comes."""
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else "the CPU"
    print(
        f"{arguments.model} on {name}, {len(os.sched_getaffinity(0))} CPU cores; steps a second, of all jobs together"
    )
    with mps.shared(max(arguments.jobs), os.environ):
        bound = together(arguments, BOUND, 1)
        print(f"bound, {BOUND} alone: {bound:.1f}" if isinstance(bound, float) else f"bound: {bound}", flush=True)
        print(f"{'':10} {'jobs':>5} {'steps a s':>10} {'over one job':>13} {'over eager':>11} {'share':>7}", flush=True)
        alike: dict[int, float] = {}
        for way in sorted(arguments.ways, key=("eager", "ours", "compiled").index):
            first = None
            for jobs in arguments.jobs:
                speed = together(arguments, way, jobs)
                if isinstance(speed, str):
                    print(f"{way:10} {jobs:5} {speed}", flush=True)
                    continue
                first = first or speed
                if way == "eager":
                    alike[jobs] = speed
                print(line(way, jobs, speed, first, alike.get(jobs), bound), flush=True)


def line(way: str, jobs: int, speed: float, first: float, eager: float | None, bound: float | str) -> str:
    """A row: steps a second, over those of the first number of jobs and of `eager`, and the share of the bound."""
    over = f"{speed / eager:.2f}" if eager else "–"
    share = f"{100 * speed / bound:.1f} %" if isinstance(bound, float) else "–"
    return f"{way:10} {jobs:5} {speed:10.1f} {speed / first:13.2f} {over:>11} {share:>7}"


def together(arguments: argparse.Namespace, way: str, jobs: int) -> float | str:
    """Steps a second of so many jobs at a time, in sum; or why there are none."""
    command = [sys.executable, __file__, "--work", way, "--model", arguments.model, "--device", arguments.device]
    command += ["--seconds", str(arguments.seconds), "--precision", arguments.precision]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [subprocess.Popen(command, text=True, **pipes) for _ in range(jobs)]
    for job in started:
        while job.stdout.readline() not in (READY, ""):  # libraries have their say before
            pass
    answers = []
    for job in started:
        if job.poll() is None:
            job.stdin.write("\n")
            job.stdin.flush()
    for job in started:
        answers.append(job.communicate())
    failed = [error for job, (_, error) in zip(started, answers, strict=True) if job.returncode]
    if failed:
        lines = failed[0].strip().splitlines()
        return f"failed: {lines[-1] if lines else 'without a word'}"
    counts = [json.loads(said.splitlines()[-1]) for said, _ in answers]
    return float(sum(count["steps"] / count["seconds"] for count in counts))


def work(arguments: argparse.Namespace) -> None:
    """What a job does: get warm, wait for the others, and take steps for some seconds."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    step = prepared(arguments.work, arguments.model, arguments.precision, torch.device(arguments.device))
    for number in range(WARM):
        step(number)
    finish(arguments.device)
    print(READY, end="", flush=True)
    sys.stdin.readline()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() < started + arguments.seconds:
        step(steps)
        steps += 1
    finish(arguments.device)
    print(json.dumps({"steps": steps, "seconds": time.perf_counter() - started}))


def prepared(way: str, name: str, precision: str, device: torch.device) -> Callable[[int], None]:
    """A function that takes the step of a number, or does its matrix products."""
    entry, options = recipe(name, precision=precision)
    speech = Speech(entry["features"])
    plan = BatchPlan(speech.lengths, int(100 * options.batch_seconds), 1)
    loaded = [speech.load(plan.step(number)).tensors for number in range(BATCHES)]
    batches = [{key: tensor.to(device) for key, tensor in tensors.items()} for tensors in loaded]
    model = build(entry, options)
    model = (as_espnet(model, entry) if way == "eager" else model).to(device)
    if way == BOUND:
        multiply: Sequence[Callable[[], None]] = [
            multiplications(model, batch, options.precision, device) for batch in batches
        ]
        return lambda number: multiply[number % BATCHES]()
    if way == "compiled":
        model.encoder = torch.compile(model.encoder, mode="reduce-overhead", dynamic=False)
    take = stepper(model, options, device)
    return lambda number: take(batches[number % BATCHES])


def finish(device: str) -> None:
    """Wait until a GPU has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
