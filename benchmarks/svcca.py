"""SVCCA of all pairs of layers from covariances, against doing it with stored activations.

The activations are made up: 24 layers of width 256, each the one before it plus something new, over a falling spectrum.
Four ways, each in a process of its own and on one thread; making the activations is not timed:

- ours: one pass over batches, then all pairs.
- pairwise: all activations are stored; for each pair, centre both layers, SVD, keep 99 % of the variance, and CCA of
  what is kept by QR and SVD. Only `--pairs` of the pairs are done (0: all), and it is compared by the time per pair.
- once: the same with the SVD of every layer done once, of which CCA then reuses the left singular vectors. All pairs.
- bound: what no way by covariances can do without, and nothing else: the products of all layers in double precision,
  of activations that are centred and lie in memory already, one decomposition a layer, and the singular values of every
  pair. How many times pairwise takes of that is the most that could be gained.

All have to agree on the pairs that were done. Only ratios mean anything on a shared machine: times are CPU seconds.

Then memory: what ours and storing the activations add to the process by the time all frames have been seen, with the
pairs of ours done, for --memory-frames and for eight times as many.

    python benchmarks/svcca.py --frames 20000 --pairs 6
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch

from secateur.layers.similarity import Covariances

VARIANCE = 0.99
BATCH = 1000  # frames
WAYS = ["ours", "pairwise", "once", "bound"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=24, help="layers (default: %(default)s)")
    parser.add_argument("--width", type=int, default=256, help="their width (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=20000, help="frames (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=6, help="pairs to do pairwise; 0 for all (default: %(default)s)")
    parser.add_argument("--memory-frames", type=int, default=2000, help="frames, and 8 times these (%(default)s)")
    parser.add_argument("--at-least", type=float, help="exit with status 1 if ours is less times faster than pairwise")
    parser.add_argument("--in-process", choices=[*WAYS, "streamed", "stored"], help="run this one here and print JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.in_process:
        print(json.dumps(measure(arguments)))
        return

    count = arguments.layers * (arguments.layers + 1) // 2
    print(f"{arguments.layers} layers of {arguments.width}, {arguments.frames} frames, {count} pairs, one CPU thread")
    results = {way: call(arguments, way) for way in WAYS}
    ours = results["ours"]["seconds"] / count
    print(f"{'':9} {'pairs done':>10} {'CPU s':>8} {'ms a pair':>10} {'times ours':>11} {'largest difference':>19}")
    for way, result in results.items():
        done = result["means"]
        pair = result["seconds"] / len(done)
        difference = max(abs(value - results["ours"]["means"][name]) for name, value in done.items())
        print(
            f"{way:9} {len(done):10} {result['seconds']:8.2f} {1000 * pair:10.1f} {pair / ours:11.1f} "
            f"{difference:19.1e}"
        )
        if difference > 1e-6:
            sys.exit(f"{way} and ours differ")
    alone = results["pairwise"]["seconds"] / len(results["pairwise"]["means"])
    ratio, most = alone / ours, alone * count / results["bound"]["seconds"]
    print(f"pairwise takes {ratio:.1f} times ours, and {most:.1f} times the bound")

    print("\nmemory that the process took for it, MB")
    few, many = arguments.memory_frames, 8 * arguments.memory_frames
    print(f"{'':9} {f'{few} frames':>14} {f'{many} frames':>14} {'ratio':>6}")
    for way in ("streamed", "stored"):
        small, large = (call(arguments, way, frames)["memory"] / 1e6 for frames in (few, many))
        print(f"{way:9} {small:14.0f} {large:14.0f} {large / small:6.2f}")
    if arguments.at_least and ratio < arguments.at_least:
        sys.exit(f"the ratio is below {arguments.at_least}")


def call(arguments: argparse.Namespace, way: str, frames: int | None = None) -> dict:
    """What `measure` finds in a process of its own."""
    options = {"layers": arguments.layers, "width": arguments.width, "pairs": arguments.pairs}
    options["frames"] = frames or arguments.frames
    command = [sys.executable, __file__, "--in-process", way]
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(answer.stdout)


def measure(arguments: argparse.Namespace) -> dict:
    """CPU seconds, peak memory in bytes beyond that of the start, and the mean coefficient of each pair done."""
    way, seconds, means, stored = arguments.in_process, 0.0, {}, []
    total = Covariances()
    before = peak()
    for batch in activations(arguments.layers, arguments.width, arguments.frames):
        if way in ("ours", "streamed"):
            started = time.process_time()
            total.add(batch, torch.tensor([batch[0].shape[1]]))
            seconds += time.process_time() - started
        else:
            stored.append([layer[0].numpy() for layer in batch])
    started = time.process_time()
    if way in ("ours", "streamed"):
        mean = total.svcca(VARIANCE).mean
        means = {f"{i} {j}": float(mean[i, j]) for i, j in all_pairs(arguments.layers)}
    elif way != "stored":
        layers = [np.concatenate(parts) for parts in zip(*stored, strict=True)]
        if way == "bound":
            frames = torch.from_numpy(np.concatenate(layers, axis=1)).double()
            frames -= frames.mean(0)
            started = time.process_time()
            means = bound(frames, arguments.width)
        else:
            means = pairwise(layers, arguments.pairs) if way == "pairwise" else once(layers)
    return {"seconds": seconds + time.process_time() - started, "memory": peak() - before, "means": means}


def activations(layers: int, width: int, frames: int) -> Iterator[list[torch.Tensor]]:
    """Batches of the outputs of all layers, each (1, T, width) in float32."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    matrices = [normal(width, width) / width**0.5 for _ in range(layers)]
    spectrum = torch.arange(1, width + 1) ** -0.5
    for start in range(0, frames, BATCH):
        hidden = normal(1, min(BATCH, frames - start), width) * spectrum
        outputs = []
        for matrix in matrices:
            hidden = hidden + 0.5 * torch.tanh(hidden @ matrix)
            outputs.append(hidden)
        yield outputs


def all_pairs(layers: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(layers) for j in range(i, layers)]


def pairwise(layers: list[np.ndarray], count: int) -> dict[str, float]:
    """SVCCA of `count` pairs spread evenly over all (0: all of them), each from the activations."""
    pairs = all_pairs(len(layers))
    step = max(1, len(pairs) // count) if count else 1
    means = {}
    for i, j in pairs[::step][: count or None]:
        x, y = (np.linalg.qr(left * values)[0] for left, values in (principal(layers[i]), principal(layers[j])))
        means[f"{i} {j}"] = np.linalg.svd(x.T @ y, compute_uv=False).mean()
    return means


def once(layers: list[np.ndarray]) -> dict[str, float]:
    """SVCCA of all pairs, with one SVD a layer."""
    lefts = [principal(layer)[0] for layer in layers]
    return {
        f"{i} {j}": np.linalg.svd(lefts[i].T @ lefts[j], compute_uv=False).mean() for i, j in all_pairs(len(layers))
    }


def bound(frames: torch.Tensor, width: int) -> dict[str, float]:
    """SVCCA of all pairs from the centred outputs of all layers (n, L·width), by products and decompositions alone."""
    layers = frames.shape[1] // width
    rows, whitenings = [], []
    for layer in range(layers):
        rows.append(frames[:, layer * width : (layer + 1) * width].T @ frames[:, layer * width :])
        values, directions = torch.linalg.eigh(rows[-1][:, :width])
        values, directions = values.flip(0), directions.flip(1)
        kept = int((values.cumsum(0) < VARIANCE * values.sum()).sum()) + 1
        whitenings.append(directions[:, :kept] / values[:kept].sqrt())
    means = {}
    for first, row in enumerate(rows):
        for second, product in enumerate((whitenings[first].T @ row).split(width, dim=1), first):
            means[f"{first} {second}"] = torch.linalg.svdvals(product @ whitenings[second]).mean().item()
    return means


def principal(activations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors (n, k) and singular values (k,) of the directions that hold the variance."""
    centred = activations.astype(np.float64)
    centred -= centred.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    kept = int(np.searchsorted(np.cumsum(values**2), VARIANCE * np.sum(values**2))) + 1
    return left[:, :kept], values[:kept]


def peak() -> int:
    """The most memory that this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
