"""Checkpoints of encoders: our own, and local Hugging Face folders (Whisper's, too), whose weights convert exactly.

A checkpoint is a folder with `config.json` and `model.safetensors`. In our own, `config.json` also has the shape of
every layer (`layers`) and a `format`. Nothing is downloaded and nothing pickled is read.
"""

from pathlib import Path

import torch

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.core.hugging_face import preprocessor
from secateur.models.tensors import load_tensors, save_tensors
from secateur.models.upstream.config import EncoderConfig
from secateur.models.upstream.encoder import Encoder
from secateur.models.upstream.names import from_hugging_face

FORMAT = 1
WEIGHTS = "model.safetensors"
WINDOW = {"hop_length": 160, "n_fft": 400}
"""What `preprocessor_config.json` may say of Whisper's log-mel energies."""


def save_encoder(folder: str | Path, encoder: Encoder) -> None:
    """Write `config.json` and `model.safetensors` into `folder`."""
    folder = Path(folder)
    save_tensors(folder / WEIGHTS, encoder.state_dict())
    write_json(folder / "config.json", encoder.config.to_dict() | {"format": FORMAT})


def load_encoder(folder: str | Path, device: str | torch.device = "cpu") -> Encoder:
    """Load a checkpoint, our own or a Hugging Face folder, strictly; the encoder is in evaluation mode.

    Raises SecateurError when files are missing or pickled, for models of another kind, and when the weights do not fit
    the configuration.
    """
    folder = Path(folder)
    values = read_json(folder / "config.json")
    source = str(folder / "config.json")
    if "format" in values and values["format"] != FORMAT:
        raise SecateurError(
            f"{source}: checkpoint format {values['format']!r}, this version reads {FORMAT}; make it again with this "
            "version"
        )
    if "format" not in values and (found := preprocessor(folder)):
        values["do_normalize"] = bool(found.get("do_normalize", False))
        if other := [f"{key} {found[key]}" for key, value in WINDOW.items() if found.get(key, value) != value]:
            raise SecateurError(f"{folder}: log-mel energies with {other[0]}; only {WINDOW} is supported")
    config = EncoderConfig.from_dict(values, source)
    state = _weights(folder, foreign="format" not in values)
    if "format" not in values:
        state = from_hugging_face(state, config)
    encoder = Encoder(config)
    try:
        encoder.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise SecateurError(f"{folder}: {WEIGHTS} does not fit config.json: {error}") from error
    broken = [name for name, value in state.items() if not value.isfinite().all()]
    if broken:
        raise SecateurError(f"{folder / WEIGHTS}: {broken[0]} holds NaN or infinity; fetch or train the model again")
    return encoder.to(device).eval()


def _weights(folder: Path, foreign: bool) -> dict[str, torch.Tensor]:
    if not (folder / WEIGHTS).exists():
        pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
        if pickled:
            raise SecateurError(
                f"{folder}: the weights are pickled ({', '.join(pickled)}), which may run any code when it is read; "
                "convert a model that you trust once: transformers.AutoModel.from_pretrained(FOLDER)"
                ".save_pretrained(NEW_FOLDER)"
            )
        if (folder / f"{WEIGHTS}.index.json").exists():
            raise SecateurError(
                f"{folder}: the weights are in several files; save them as one, with "
                ".save_pretrained(NEW_FOLDER, max_shard_size='10GB')"
            )
    return {name: value.float() for name, value in load_tensors(folder / WEIGHTS, foreign).items()}


def load_upstream(folder: str | Path, device: str | torch.device = "cpu") -> Encoder:
    """Load an encoder as a feature extractor: one of our checkpoints (pretrained, pruned), or a Hugging Face folder.

    It is in evaluation mode and its weights want no gradient. `upstream(waveforms, lengths)` takes float32 samples
    (B, S) at 16 kHz, zero padded, and their numbers (B,), and answers the input of the first layer and the output of
    every layer, each (B, T, D), and the numbers of frames (B,). Padding changes nothing: see
    `secateur.models.upstream.encoder`.

    Raises SecateurError as `load_encoder` does.
    """
    return load_encoder(folder, device).requires_grad_(False)
