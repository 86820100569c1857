"""Time and memory of choosing the largest weights, beside torch's ways of doing it.

The weights are random matrices of the shapes of an encoder's layers, 187 million by default: the dense model of the
S3 study. Each way runs in a process of its own, on one thread of the CPU, and turns the weights into one boolean tensor
(torch's ways from |w| of all weights in one vector, which they need). Memory is the most that the process took since
before the weights were made, in units of the weights: 1 is the weights themselves (of few weights, torch's own code is
the greater part). `within` ranks what a first level of half the sparsity left, which gives the same
mask. The last column begins the SHA-256 of the mask: equal masks have equal ones.

--check holds our ways to their aims: ten seconds of CPU time, and twice the memory of the weights.

    python benchmarks/ranking.py --ways ours within topk kthvalue
    python benchmarks/ranking.py --ways ours within layerwise --check
"""

import argparse
import hashlib
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from secateur.pruning.engines.mask import kept
from secateur.pruning.engines.ranking import magnitude_mask

WIDTH = 512
OURS = ["ours", "within", "layerwise"]
WAYS = [*OURS, "kthvalue", "topk", "sort"]
AIMS = {"cpu": 10.0, "memory": 2.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=int, default=187_000_000, help="how many weights (default: %(default)s)")
    parser.add_argument("--sparsity", type=float, default=0.7, help="share to prune (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="times that each is run (default: %(default)s)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="what to run (default: all)")
    parser.add_argument("--check", action="store_true", help="exit with status 1 if one of our ways misses an aim")
    parser.add_argument("--in-process", action="store_true", help="run the one way here and print JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.in_process:
        print(json.dumps(measure(arguments.ways[0], arguments.weights, arguments.sparsity, arguments.repeats)))
        return

    results = {}
    for way in arguments.ways:
        options = {"weights": arguments.weights, "sparsity": arguments.sparsity, "repeats": arguments.repeats}
        command = [sys.executable, __file__, "--in-process", "--ways", way]
        command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
        results[way] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)

    first = results[arguments.ways[0]]
    print(f"{arguments.weights} weights, sparsity {arguments.sparsity:g}, one thread, median of {arguments.repeats}")
    print(f"{'':10} {'seconds':>9} {'CPU s':>9} {'times ' + arguments.ways[0]:>12} {'memory':>8}  mask")
    for way, result in results.items():
        ratio = result["cpu"] / first["cpu"]
        print(
            f"{way:10} {result['seconds']:9.4f} {result['cpu']:9.4f} {ratio:12.2f} {result['memory']:8.2f}  "
            f"{result['mask'][:12]}"
        )
    # A layerwise mask is another one. Where magnitudes tie at the threshold, kthvalue keeps too many and topk any.
    if len({results[way]["mask"] for way in ("ours", "within", "sort") if way in results}) > 1:
        sys.exit("our mask is not that of a stable sort")
    missed = {way for way in OURS if way in results for key, aim in AIMS.items() if results[way][key] > aim}
    if arguments.check and missed:
        sys.exit(f"over {AIMS['cpu']:g} s or {AIMS['memory']:g} times the weights' memory: {', '.join(sorted(missed))}")


def measure(way: str, count: int, sparsity: float, repeats: int) -> dict[str, float | str]:
    """Median seconds and CPU seconds, peak memory over the weights, and the SHA-256 of the mask's bytes."""
    before = resident()
    tensors = matrices(count)
    run = ways(tensors, sparsity)[way]
    times, cpu = [], []
    for _ in range(repeats):
        flat = None
        started, processed = time.perf_counter(), time.process_time()
        flat = run()
        times.append(time.perf_counter() - started)
        cpu.append(time.process_time() - processed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": statistics.median(times),
        "cpu": statistics.median(cpu),
        "memory": (peak - before) / (4 * count),
        "mask": hashlib.sha256(flat.numpy()).hexdigest(),
    }


def ways(tensors: dict[str, torch.Tensor], sparsity: float) -> dict[str, Callable[[], torch.Tensor]]:
    """What is compared; each answers one bit per weight."""
    keep = kept(sum(tensor.numel() for tensor in tensors.values()), sparsity)
    half = None

    def magnitudes() -> torch.Tensor:
        return torch.cat([tensor.reshape(-1) for tensor in tensors.values()]).abs_()

    def chosen(indices: torch.Tensor) -> torch.Tensor:
        flat = torch.zeros(sum(tensor.numel() for tensor in tensors.values()), dtype=torch.bool)
        flat[indices] = True
        return flat

    def within() -> torch.Tensor:
        nonlocal half
        half = half or magnitude_mask(tensors, sparsity / 2)
        return magnitude_mask(tensors, sparsity, within=half).flat

    def kthvalue() -> torch.Tensor:
        flat = magnitudes()
        return flat >= torch.kthvalue(flat, len(flat) - keep + 1).values

    return {
        "ours": lambda: magnitude_mask(tensors, sparsity).flat,
        "within": within,
        "layerwise": lambda: magnitude_mask(tensors, sparsity, "layerwise").flat,
        "kthvalue": kthvalue,
        "topk": lambda: chosen(torch.topk(magnitudes(), keep, sorted=False).indices),
        "sort": lambda: chosen(torch.sort(magnitudes(), descending=True, stable=True).indices[:keep]),
    }


def matrices(count: int) -> dict[str, torch.Tensor]:
    """`count` weights in matrices of two shapes and two scales; the last one takes what is left."""
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    while count:
        rows = WIDTH * (1 if len(tensors) % 6 < 4 else 4)  # four of attention, two of the feed-forward layer
        shape = (rows, WIDTH) if rows * WIDTH <= count else (count,)
        scale = 1 / math.sqrt(rows)
        tensors[f"weight{len(tensors)}"] = torch.empty(shape).normal_(0, scale, generator=generator)
        count -= math.prod(shape)
    return tensors


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
