"""Checkpoints of self-supervised encoders: our own, and local Hugging Face folders, whose weights convert exactly.

A checkpoint is a folder with `config.json` and `model.safetensors`. In our own, `config.json` also has the shape of
every layer (`layers`) and a `format`. Nothing is downloaded and nothing pickled is read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.models.tensors import load_tensors, save_tensors
from secateur.ssl.config import EncoderConfig
from secateur.ssl.encoder import Encoder

FORMAT = 1
WEIGHTS = "model.safetensors"

# Our name of a parameter whose name in Hugging Face's checkpoints, old or new, ends in the key.
RENAMED = {
    "pos_conv_embed.conv.parametrizations.weight.original0": "pos_conv_embed.weight_g",
    "pos_conv_embed.conv.parametrizations.weight.original1": "pos_conv_embed.weight_v",
    "pos_conv_embed.conv.weight_g": "pos_conv_embed.weight_g",
    "pos_conv_embed.conv.weight_v": "pos_conv_embed.weight_v",
    "pos_conv_embed.conv.bias": "pos_conv_embed.bias",
    "layers.0.attention.rel_attn_embed.weight": "rel_attn_embed.weight",
}


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
    if "format" not in values and (folder / "preprocessor_config.json").exists():
        values["do_normalize"] = bool(read_json(folder / "preprocessor_config.json").get("do_normalize", False))
    config = EncoderConfig.from_dict(values, source)
    state = _weights(folder, foreign="format" not in values)
    if "format" not in values:
        state = _from_hugging_face(state, config)
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


def _from_hugging_face(state: Mapping[str, torch.Tensor], config: EncoderConfig) -> dict[str, torch.Tensor]:
    """The encoder's weights of a Hugging Face checkpoint under our names.

    Of a checkpoint with heads (pretraining, CTC) only the encoder is taken. One that was never pretrained with masks
    lacks the mask's embedding, which feature extraction does not use.
    """
    prefix = config.model_type.replace("-", "_") + "."
    if any(name.startswith(prefix) for name in state):
        state = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    converted: dict[str, Any] = {}
    for name, value in state.items():
        for ending, ours in RENAMED.items():
            if name.endswith(ending):
                name = name.removesuffix(ending) + ours
        converted[name] = value
    converted.setdefault("masked_spec_embed", torch.zeros(config.hidden_size))
    return converted


def load_upstream(folder: str | Path, device: str | torch.device = "cpu") -> Encoder:
    """Load an encoder as a feature extractor: one of our checkpoints (pretrained, pruned), or a Hugging Face folder.

    It is in evaluation mode and its weights want no gradient. `upstream(waveforms, lengths)` takes float32 samples
    (B, S) at 16 kHz, zero padded, and their numbers (B,), and answers the input of the first layer and the output of
    every layer, each (B, T, D), and the numbers of frames (B,). Padding changes nothing: see `secateur.ssl.encoder`.

    Raises SecateurError as `load_encoder` does.
    """
    return load_encoder(folder, device).requires_grad_(False)
