"""ONNX Runtime on the CPU. Needs that alone, also where a bundle or a streaming model runs without torch."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime


def session(path: str | Path, threads: int) -> "onnxruntime.InferenceSession":
    """What runs an ONNX file, on so many threads within an operation and one between them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
