"""Whether masks save time: products with a matrix whose mask is unstructured, of 1 × 8 blocks, or 2:4.

Every way multiplies the same activations (frames × in) by a matrix (out × in) as feed-forward layers have it; they take
turns, and each result must agree with the dense product of the same masked matrix. Ways that this machine has no kernel
for are named: torch multiplies 2:4 matrices on GPUs alone, and MKL no blocks that are not square. On a CPU it is one
thread's own time, on a GPU wall-clock time. A ratio above 1 is slower than dense.

    python benchmarks/blocks.py --dim 144 --ffn 576 --sparsity 0.7
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch

from secateur.core import devices
from secateur.pruning.engines.mask import Mask
from secateur.pruning.engines.ranking import BLOCK, magnitude_mask

Way = Callable[[], torch.Tensor]


def main() -> int:
    """Print the ratios; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=144, help="inputs")
    parser.add_argument("--ffn", type=int, default=576, help="outputs")
    parser.add_argument("--frames", type=int, default=200, help="frames at a time")
    parser.add_argument("--sparsity", type=float, default=0.7, help="of all but 2:4, whose is 0.5")
    parser.add_argument("--rounds", type=int, default=30, help="turns, each of --products")
    parser.add_argument("--products", type=int, default=20, help="products in a turn")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = devices.pick(arguments.device)
    weight = torch.randn(arguments.ffn, arguments.dim, device=device) / arguments.dim**0.5
    frames = torch.randn(arguments.frames, arguments.dim, device=device)
    found, missing = ways(weight, frames, arguments.sparsity)
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(arguments.rounds):
        for name, way in found.items():
            times[name].append(seconds(way, arguments.products, device))
    dense = statistics.median(times["dense"])
    for name, taken in times.items():
        middle = statistics.median(taken)
        print(f"{name:28} {1e6 * middle / arguments.products:9.1f} µs   {middle / dense:6.2f} times dense")
    for name, why in missing.items():
        print(f"{name:28} no kernel here: {why}")
    return 0


def ways(weight: torch.Tensor, frames: torch.Tensor, sparsity: float) -> tuple[dict[str, Way], dict[str, str]]:
    """The ways that work here, checked against the dense product, and why others do not."""

    def masked(ranking: str, share: float) -> torch.Tensor:
        mask: Mask = magnitude_mask({"w": weight}, share, ranking)
        return weight * mask["w"]

    free, blocks, fours = masked("global", sparsity), masked("1x8", sparsity), masked("2of4", 0.5)
    offered: dict[str, tuple[torch.Tensor, Callable[[], Way]]] = {
        "dense": (free, lambda: lambda: frames @ free.T),
        "unstructured, torch CSR": (free, lambda: _product(free.to_sparse_csr(), frames)),
        "1 × 8 blocks, torch BSR": (blocks, lambda: _product(blocks.to_sparse_bsr((1, BLOCK)), frames)),
        "2:4, torch": (fours, lambda: _product(torch.sparse.to_sparse_semi_structured(fours.half()), frames.half())),
    }
    found, missing = {}, {}
    for name, (matrix, make) in offered.items():
        try:
            way = make()
            result = way().float()
        except (RuntimeError, NotImplementedError) as error:
            missing[name] = " ".join(str(error).split())[:100]
            continue
        torch.testing.assert_close(result, frames @ matrix.T, rtol=2e-2, atol=2e-2)
        found[name] = way
    return found, missing


def _product(matrix: torch.Tensor, frames: torch.Tensor) -> Way:
    columns = frames.T.contiguous()
    return lambda: (matrix @ columns).T


def seconds(way: Way, products: int, device: torch.device) -> float:
    """Seconds of so many products: this thread's own on a CPU, by the clock on a GPU."""
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begun = clock()
    for _ in range(products):
        way()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - begun


if __name__ == "__main__":
    sys.exit(main())
