"""Streaming transducers as ONNX files, checked against torch piece by piece; `decoding.streaming` runs them."""

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from secateur.core.errors import SecateurError
from secateur.core.files import write_json, written_aside
from secateur.decoding.onnx import FLOAT32, OPSET, quantise
from secateur.decoding.streaming import ABOUT, ENCODER, JOINER, PREDICTOR, StreamingTransducer
from secateur.decoding.transducer import Greedy
from secateur.models.emformer import Emformer, LayerState, State
from secateur.models.no_block import NoBlock
from secateur.models.rnnt import Transducer
from secateur.models.size import noise

TOLERANCE = 1e-4
CHECKED = (97, 310)
"""Frames of the utterances that are compared; the last piece of each is not full."""
CACHES = ("key", "value", "memory", "convolution")


class _EncoderChunk(torch.nn.Module):
    """One segment: what `EncoderStream` computes of it, caches in and out as tensors."""

    def __init__(self, model: Transducer):
        super().__init__()
        self.model, self.names = model, list(empty_caches(model))

    def forward(
        self, features: torch.Tensor, length: torch.Tensor, segments: torch.Tensor, *caches: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        model, encoder = self.model, self.model.encoder
        given = _all_caches(model) | dict(zip(self.names, caches, strict=True))
        nothing = features.new_zeros(1, 0, 0)
        states = []
        for number in range(len(encoder.encoders)):
            key, value, memory = (given.get(f"{name}_{number}", nothing) for name in CACHES[:3])
            states.append(LayerState(key, value, memory, given.get(f"convolution_{number}")))
        feats, frames = model.preencoder(*model.frontend(features, length))
        output, frames, after = encoder.infer(feats, frames, State(segments, states))
        left = {
            f"{name}_{number}": getattr(state, name) for number, state in enumerate(after.layers) for name in CACHES
        }
        return (output, frames, *(left[name] for name in self.names))


class _Predictor(torch.nn.Module):
    """One label: what the joiner takes of it, (1, J), and the state after it."""

    def __init__(self, model: Transducer):
        super().__init__()
        self.model = model

    def forward(
        self, label: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        output, (hidden, cell) = self.model.predictor(label, (hidden, cell))
        return self.model.joiner.predictor(output[:, 0]), hidden, cell


class _Joiner(torch.nn.Module):
    """Logits (1, V) of a frame (1, D) and a prefix (1, J)."""

    def __init__(self, model: Transducer):
        super().__init__()
        self.model = model

    def forward(self, frame: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
        joiner = self.model.joiner
        return joiner.output(torch.tanh(joiner.encoder(frame) + prefix))


def empty_caches(model: Transducer) -> dict[str, torch.Tensor]:
    """What each layer keeps from segment to segment, by name, before the first one; what holds nothing is left out."""
    return {name: tensor for name, tensor in _all_caches(model).items() if tensor.numel()}


def _all_caches(model: Transducer) -> dict[str, torch.Tensor]:
    """The same with what holds nothing; widths follow the heads that are left."""
    found = {}
    for number, layer in enumerate(model.encoder.encoders):
        if not isinstance(layer.attention, NoBlock):
            width = layer.attention.linear_k.out_features
            found[f"key_{number}"] = torch.zeros(1, layer.left, width)
            found[f"value_{number}"] = torch.zeros(1, layer.left, width)
            found[f"memory_{number}"] = torch.zeros(1, layer.memory, model.encoder.dim)
        if layer.convolution is not None:
            found[f"convolution_{number}"] = torch.zeros(1, layer.convolution.context, model.encoder.dim)
    return found


def export_stream(
    model: torch.nn.Module, bins: int, tokens: Sequence[str], folder: str | Path, kind: str = FLOAT32
) -> float:
    """Write `model`, a transducer with an Emformer in evaluation mode on the CPU, into `folder`, and check it.

    Args:
        bins: features per frame.
        kind: one of `secateur.decoding.onnx.KINDS`; what is checked is float32, which int8 is made of.

    Returns the largest difference of encoder outputs from those of torch, piece by piece. Raises SecateurError where
    it is above `TOLERANCE` or the labels differ, and for models that do not stream.
    """
    if not isinstance(model, Transducer) or not isinstance(model.encoder, Emformer):
        raise SecateurError(
            f"{type(model).__name__} with {type(getattr(model, 'encoder', None)).__name__}: only a transducer with an "
            "emformer encoder streams; export others whole (export-onnx)"
        )
    folder, parts = Path(folder), _parts(model, bins)
    with tempfile.TemporaryDirectory() as aside:
        plain = folder if kind == FLOAT32 else Path(aside)
        for name, (module, given, outputs) in parts.items():
            _write(module.eval(), given, outputs, plain / name)
        write_json(plain / ABOUT, _about(model, bins, tokens))
        difference = _check(model, plain, bins)
        if plain != folder:
            for name in parts:
                quantise(plain / name, folder / name)
            write_json(folder / ABOUT, _about(model, bins, tokens))
    return difference


def _parts(model: Transducer, bins: int) -> dict[str, tuple[torch.nn.Module, dict[str, torch.Tensor], list[str]]]:
    """By file: a module, what it takes, an example of each by name, and the names of what it gives."""
    caches, state = empty_caches(model), _state(model)
    chunk = _chunk(model)
    speech, length = torch.zeros(1, chunk, bins), torch.tensor([chunk])
    frame, prefix = torch.zeros(1, model.encoder.output_size()), torch.zeros(1, model.joiner.output.in_features)
    return {
        ENCODER: (
            _EncoderChunk(model),
            {"features": speech, "length": length, "segments": torch.tensor(0), **caches},
            ["output", "frames", *(f"new_{name}" for name in caches)],
        ),
        PREDICTOR: (
            _Predictor(model),
            {"label": torch.zeros(1, 1, dtype=torch.long), "hidden": state, "cell": state.clone()},
            ["prefix", "new_hidden", "new_cell"],
        ),
        JOINER: (_Joiner(model), {"frame": frame, "prefix": prefix}, ["logits"]),
    }


def _about(model: Transducer, bins: int, tokens: Sequence[str]) -> dict[str, Any]:
    """What `StreamingTransducer` needs to know."""
    return {
        "bins": bins,
        "chunk": _chunk(model),
        "step": model.encoder.segment * model.preencoder.factor,
        "blank": model.blank_id,
        "tokens": list(tokens),
        "caches": {name: list(tensor.shape) for name, tensor in empty_caches(model).items()},
        "state": list(_state(model).shape),
        "algorithmic_latency": model.algorithmic_latency,
    }


def _chunk(model: Transducer) -> int:
    """Frames of features in a segment with its look-ahead."""
    return model.encoder.latency * model.preencoder.factor


def _state(model: Transducer) -> torch.Tensor:
    """What the predictor begins with: its hidden state, and its cell."""
    return torch.zeros(model.predictor.lstm.num_layers, 1, model.predictor.lstm.hidden_size)


def _write(module: torch.nn.Module, given: dict[str, torch.Tensor], outputs: list[str], path: Path) -> None:
    with written_aside(path) as aside, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: sizes are constant here
        torch.onnx.export(
            module,
            tuple(given.values()),
            str(aside),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(given),
            output_names=outputs,
        )


@torch.inference_mode()
def _check(model: Transducer, folder: Path, bins: int) -> float:
    """The largest difference of any piece's encoder output; the labels must be the same."""
    runtime, worst = StreamingTransducer(folder, keep=True), 0.0
    for frames in CHECKED:
        speech = noise(model, [frames], bins, torch.Generator().manual_seed(frames))[0]
        stream, greedy = model.stream(), Greedy(model, max_symbols=runtime.max_symbols)
        runtime.begin()
        expected = []
        for place in range(0, frames, stream.step):
            piece = speech[place : place + stream.step]
            expected.append(stream.accept(piece))
            runtime.accept(piece.numpy())
        expected.append(stream.finish())
        runtime.finish()
        output = torch.cat(expected, dim=1)
        greedy.advance(output, torch.tensor([output.shape[1]]))
        found = torch.from_numpy(np.concatenate(runtime.outputs))
        if found.shape != output[0].shape or runtime.labels != greedy.labels[0]:
            raise SecateurError(
                f"ONNX Runtime gives {tuple(found.shape)} and {len(runtime.labels)} labels where torch gives "
                f"{tuple(output[0].shape)} and {len(greedy.labels[0])}; please report this"
            )
        worst = max(worst, float((found - output[0]).abs().max()))
    if not worst <= TOLERANCE:
        raise SecateurError(f"ONNX Runtime's encoder output is off torch's by {worst:.2e}; please report this")
    return worst
