"""Encoders with their CTC head as ONNX files, for runtimes without Python, checked against torch.

Inputs: `speech` (B, T, F), features before normalisation, padded with anything, and `speech_lengths` (B,), int64.
Outputs: `log_probs` (B, T', V), natural logarithms over the token list, and `log_probs_lengths` (B,). B and T are free.
"""

import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from secateur.core.errors import SecateurError
from secateur.core.files import written_aside
from secateur.decoding import sessions
from secateur.decoding.onnx_positions import computed_positions
from secateur.decoding.recognize import encode
from secateur.models.emformer import Emformer
from secateur.models.size import noise

if TYPE_CHECKING:
    import onnxruntime

OPSET = 17
FLOAT32, INT8 = KINDS = ("float32", "int8")
"""What matrices of weights are stored in."""
TOLERANCE = 1e-3  # nats
INPUTS, OUTPUTS = ("speech", "speech_lengths"), ("log_probs", "log_probs_lengths")
SHAPES = ((1, 100), (3, 257), (2, 64))  # utterances and frames that are checked; the first is traced


def quantise(source: Path, path: str | Path) -> None:
    """Write an ONNX file with the matrices of weights in int8, by onnxruntime's own dynamic quantisation.

    Activations are quantised as they come. Each output channel has a scale of its own, and weights use 7 of the 8 bits:
    processors without instructions for products of int8 add two of them in 16 bits, which could else overflow.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a preparation that changes nothing for what is written here
    try:
        with written_aside(path) as aside:
            quantize_dynamic(
                str(source),
                str(aside),
                op_types_to_quantize=["MatMul", "Gemm"],
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
            )
    finally:
        root.setLevel(level)


def write_as(kind: str, write: Callable[[Path], float], path: Path) -> dict[str, Any]:
    """Have `write` write a file in float32, which it checks, and keep it in one of `KINDS`.

    Returns for a record what `write` gives, the `difference` in float32, and the `bytes` of the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain = path if kind == FLOAT32 else Path(folder) / "plain.onnx"
        difference = write(plain)
        if plain != path:
            quantise(plain, path)
    return {"difference": difference, "bytes": path.stat().st_size}


def session(path: str | Path) -> "onnxruntime.InferenceSession":
    """What runs an ONNX file, on as many threads of the CPU as torch has here."""
    return sessions.session(path, torch.get_num_threads())


class _EncoderAndHead(torch.nn.Module):
    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, speech: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        encoder_out, lengths = encode(self.model, speech, lengths)
        return self.model.ctc.log_softmax(encoder_out), lengths


def export_onnx(model: torch.nn.Module, bins: int, path: str | Path) -> float:
    """Write the encoder and CTC head of `model`, in evaluation mode on the CPU, to `path`, and check the file.

    Args:
        bins: features per frame.

    Returns the largest difference between log-probabilities of ONNX Runtime and torch, in nats, over utterances of
    several lengths, in batches and alone. Raises SecateurError when it is above `TOLERANCE`, and then writes nothing;
    and for models without a CTC head and encoders that stream, which are not one graph.
    """
    if getattr(model, "ctc", None) is None:
        raise SecateurError("only models with a CTC head are exported to ONNX; this one has none")
    if isinstance(model.encoder, Emformer):
        raise SecateurError("an emformer encoder works segment by segment; ONNX export takes transformer or conformer")
    batches = [_made_up(model, *shape, bins) for shape in SHAPES]
    return export_checked(_EncoderAndHead(model).eval(), batches, INPUTS, OUTPUTS, path, TOLERANCE, "nats")


def export_checked(
    module: torch.nn.Module,
    batches: Sequence[tuple[torch.Tensor, torch.Tensor]],
    inputs: tuple[str, str],
    outputs: tuple[str, str],
    path: str | Path,
    tolerance: float,
    unit: str,
) -> float:
    """Write `module`, in evaluation mode on the CPU, as an ONNX file, and check what ONNX Runtime makes of it.

    Args:
        module: takes a padded batch (B, T, …) and lengths (B,), and answers (B, T', …) and lengths (B,).
        batches: what is compared; the first is traced.
        inputs, outputs: names in the file; the first dimension of all and the second of the batches are free.
        tolerance: of differences within the lengths, in `unit`.

    Returns the largest difference. Raises SecateurError when it is above the tolerance, and then writes nothing.
    """
    with written_aside(path) as aside:
        with warnings.catch_warnings(), computed_positions(module):
            # Of tracing: what it takes for constant are checks.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                batches[0],
                str(aside),
                dynamo=False,  # the other exporter needs further packages and cannot follow lengths
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes={
                    inputs[0]: {0: "batch", 1: "frames"},
                    inputs[1]: {0: "batch"},
                    outputs[0]: {0: "batch", 1: "encoder_frames"},
                    outputs[1]: {0: "batch"},
                },
            )
        return _check(module, batches, inputs, outputs, aside, tolerance, unit)


@torch.inference_mode()
def _check(
    module: torch.nn.Module,
    batches: Sequence[tuple[torch.Tensor, torch.Tensor]],
    inputs: tuple[str, str],
    outputs: tuple[str, str],
    path: Path,
    tolerance: float,
    unit: str,
) -> float:
    running, worst = session(path), 0.0
    for batch, lengths in batches:
        expected, frames = module(batch, lengths)
        found, found_frames = running.run(None, dict(zip(inputs, (batch.numpy(), lengths.numpy()), strict=True)))
        if found_frames.tolist() != frames.tolist():
            raise SecateurError(
                f"ONNX Runtime gives {found_frames.tolist()} frames where torch gives {frames.tolist()}"
            )
        valid = torch.arange(expected.shape[1]) < frames[:, None]
        difference = float((torch.from_numpy(found)[valid] - expected[valid]).abs().max())
        if not difference <= tolerance:
            raise SecateurError(
                f"ONNX Runtime's {outputs[0].replace('log_probs', 'log-probabilities')} are off torch's by "
                f"{difference:.2e} {unit}, more than {tolerance:.0e}; the exported model would not compute the same; "
                "please report this"
            )
        worst = max(worst, difference)
    return worst


def _made_up(model: torch.nn.Module, utterances: int, frames: int, bins: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random features (B, T, F), and lengths (B,) from T down."""
    lengths = [frames - 11 * number for number in range(utterances)]
    return noise(model, lengths, bins, torch.Generator().manual_seed(frames)), torch.tensor(lengths)
