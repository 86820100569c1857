"""Models as ONNX files, and the file that says which there are: `onnx.json`, beside them.

layers   of the encoder
systems  by format: `model` and, where the search has one, `lm`, names of files below `FOLDER`; `bytes` of each,
         `model_bytes` and `lm_bytes`; `peak_memory` of the model, in bytes, as of models in torch; and `differences`,
         the largest ones from torch's log-probabilities, in nats
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from secateur.core.files import read_json, write_json
from secateur.decoding.onnx import INPUTS, export_onnx, quantise, session
from secateur.decoding.onnx_lm import OnnxLM, export_lm
from secateur.decoding.onnx_memory import peak_memory
from secateur.exported import FILE, FOLDER
from secateur.models.load import Loaded
from secateur.models.size import ten_seconds
from secateur.models.surgery.layers import layer_numbers

PLAIN, INT8 = FORMATS = ("onnx", "int8")


def write(loaded: Loaded, lm: torch.nn.Module | None, formats: Sequence[str], folder: Path) -> dict[str, Any]:
    """Write a model's encoder and CTC head, and a language model, in these of `FORMATS`; and `FILE` into `folder`.

    Both are on the CPU, in evaluation mode, masks applied. Returns what is in the file. Raises SecateurError for what
    cannot be exported.
    """
    files = folder / FOLDER
    files.mkdir(parents=True, exist_ok=True)
    plain = {"model": files / f"{PLAIN}.onnx"}
    differences = {"model": export_onnx(loaded.model, loaded.config["features"], plain["model"])}
    if lm is not None:
        plain["lm"] = files / f"{PLAIN}-lm.onnx"
        differences["lm"] = export_lm(lm, plain["lm"])
    speech, lengths = ten_seconds(loaded.model, loaded.config["features"])
    feeds = dict(zip(INPUTS, (speech.numpy(), lengths.numpy()), strict=True))
    systems: dict[str, dict[str, Any]] = {}
    for name in formats:
        systems[name] = {"differences": differences if name == PLAIN else {}}
        for part, file in plain.items():
            written = file
            if name == INT8:
                written = file.with_name(file.name.replace(PLAIN, INT8, 1))
                quantise(file, written)
            systems[name] |= {part: written.name, f"{part}_bytes": written.stat().st_size}
        systems[name]["peak_memory"] = peak_memory(files / systems[name]["model"], feeds)
    if PLAIN not in formats:
        for file in plain.values():
            file.unlink()
    found = {"layers": len(layer_numbers(loaded.model)), "systems": systems}
    write_json(folder / FILE, found)
    return found


def sub_models(model: torch.nn.Module, file: str | Path) -> Iterator[tuple[str, torch.nn.Module]]:
    """What decodes in the place of `model`, by the name of its format; `file` is one that `write` wrote."""
    found, folder = read_json(Path(file)), Path(file).parent / FOLDER
    for name, system in found["systems"].items():
        lm = OnnxLM(folder / system["lm"]) if "lm" in system else None
        yield name, OnnxModel(folder / system["model"], model, found["layers"], lm)


class _Head:
    """The CTC head, which the file has computed already."""

    def log_softmax(self, log_probs: torch.Tensor) -> torch.Tensor:
        return log_probs

    def softmax(self, log_probs: torch.Tensor) -> torch.Tensor:
        return log_probs.exp()

    def argmax(self, log_probs: torch.Tensor) -> torch.Tensor:
        return log_probs.argmax(-1)


class OnnxModel(torch.nn.Module):
    """An encoder with its CTC head that ONNX Runtime runs, on the CPU; what it encodes are log-probabilities.

    Args:
        path: a file of `secateur.decoding.onnx`.
        whole: the model that it was made from.
        depth: the number of encoder layers.
        lm: the language model that goes with it, if it has one.
    """

    def __init__(self, path: Path, whole: Any, depth: int, lm: OnnxLM | None):
        super().__init__()
        self.session, self.depth = session(path), depth
        self.ctc, self.encoder, self.decoder = _Head(), None, None
        self.sos, self.eos = whole.sos, whole.eos
        if lm is not None:
            self.lm = lm

    def encode(self, speech: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities (B, T', V) of padded features (B, T, F) of `lengths` (B,), and the frames of each."""
        given = {"speech": speech.cpu().numpy(), "speech_lengths": lengths.cpu().numpy()}
        found, frames = self.session.run(None, given)
        return torch.from_numpy(found).to(speech.device), torch.from_numpy(frames).to(speech.device)
