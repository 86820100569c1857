"""What a model costs: parameters, bytes, arithmetic, memory and the wait that streaming cannot avoid.

Arithmetic and memory are of encoding one utterance of ten seconds (1000 frames, or as many as the front end of a model
from elsewhere gives), a CTC head included, in float32 on
the CPU. Both are counted, not timed, so they are the same on every machine.
"""

import math
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

SECONDS = 10
FRAMES_PER_SECOND = 100


class PeakMemory(TorchDispatchMode):
    """Within the block, keep the highest sum of the bytes of all tensors that operators made and that were alive.

    What an operator allocates for itself while it runs is not seen.
    """

    def __init__(self):
        super().__init__()
        self.peak = self._alive = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        keywords = keywords or {}
        for tensor in tree_leaves((arguments, keywords)):
            if isinstance(tensor, torch.Tensor):  # made outside the block, if not known yet
                self._note(tensor.untyped_storage(), 0)
        result = function(*arguments, **keywords)
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self._note(storage, storage.nbytes())
        return result

    def _note(self, storage: torch.UntypedStorage, size: int) -> None:
        if storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        self._alive += size
        self.peak = max(self.peak, self._alive)
        weakref.finalize(storage, self._forget, storage._cdata, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._alive -= size


def parameter_counts(model: torch.nn.Module) -> dict[str, int]:
    """`parameters` of the model, those shared between modules once, and how many of them are `nonzero`."""
    parameters = list(model.parameters())
    return {
        "parameters": sum(parameter.numel() for parameter in parameters),
        "nonzero": sum(int(torch.count_nonzero(parameter)) for parameter in parameters),
    }


def noise(model: torch.nn.Module, lengths: Sequence[int], bins: int, generator: torch.Generator) -> torch.Tensor:
    """Made-up input (B, T, F) of utterances of `lengths` frames: samples where the model reads these, else features."""
    frontend = getattr(model, "frontend", None)
    if hasattr(frontend, "made_up"):
        return frontend.made_up(lengths, generator)
    return torch.randn(len(lengths), max(lengths), bins, generator=generator)


def ten_seconds(model: torch.nn.Module, bins: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What costs are counted of: made-up input (1, T, F) of `SECONDS`, and its length (1,)."""
    frames = round(SECONDS * getattr(model, "frames_per_second", FRAMES_PER_SECOND))
    return noise(model, [frames], bins, torch.Generator().manual_seed(0)), torch.tensor([frames])


@torch.no_grad()
def encoding_cost(model: torch.nn.Module, bins: int) -> dict[str, int]:
    """Cost of encoding ten seconds of speech with `bins` features per frame, by a model in evaluation mode.

    Returns `macs_per_second`, multiply–accumulates of matrix products and convolutions per second of audio (zeros of
    unstructured sparsity count: dense kernels multiply them), and `peak_memory`, the bytes of all parameters and
    buffers plus the most that the tensors of the computation took at once.
    """
    speech, lengths = ten_seconds(model, bins)

    def run() -> None:
        encoder_out, _ = model.encode(speech, lengths)
        # With intermediate CTC, a model also returns the outputs of its inner layers.
        if model.ctc is not None:
            model.ctc.log_softmax(encoder_out[0] if isinstance(encoder_out, tuple) else encoder_out)

    # Fused attention kernels are not counted; the plain one is made of matrix products, which are.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    with PeakMemory() as memory:
        run()
    weights = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
    return {
        "macs_per_second": round(counter.get_total_flops() / 2 / SECONDS),
        "peak_memory": weights + memory.peak,
    }


def algorithmic_latency(model: torch.nn.Module) -> float | None:
    """Seconds of audio that a streaming model waits for on any machine; None for one that hears all speech first."""
    seconds = getattr(model, "algorithmic_latency", math.inf)
    return seconds if math.isfinite(seconds) else None


def size(model: torch.nn.Module, bins: int) -> dict[str, Any]:
    """Everything of an entry of `sizes.json` that does not need the checkpoint's file."""
    latency = {"algorithmic_latency": algorithmic_latency(model)}
    return parameter_counts(model) | encoding_cost(model, bins) | latency
