"""The names of an encoder's weights in Hugging Face's checkpoints, and ours."""

import re
from collections.abc import Iterable, Mapping

import torch

from secateur.models.upstream.config import DATA2VEC, WHISPER, EncoderConfig

# Our name of a parameter whose name in Hugging Face's checkpoints, old or new, ends in the key.
RENAMED = {
    "pos_conv_embed.conv.parametrizations.weight.original0": "pos_conv_embed.weight_g",
    "pos_conv_embed.conv.parametrizations.weight.original1": "pos_conv_embed.weight_v",
    "pos_conv_embed.conv.weight_g": "pos_conv_embed.weight_g",
    "pos_conv_embed.conv.weight_v": "pos_conv_embed.weight_v",
    "pos_conv_embed.conv.bias": "pos_conv_embed.bias",
    "layers.0.attention.rel_attn_embed.weight": "rel_attn_embed.weight",
}
THEIRS = {ours: theirs for theirs, ours in reversed(RENAMED.items())}
"""Their newest name for each of ours."""
MASKED = "masked_spec_embed"
"""What stands in masked frames: of models with a CTC head, only transformers' own training uses it."""
PREFIXES = {DATA2VEC: "data2vec_audio", WHISPER: "model"}
"""What the names of an encoder's parameters begin with in models that have heads, if not with its type."""

WHISPERS = {
    "encoder.conv": "feature_extractor.conv",
    "encoder.embed_positions.": "encoder.pos_conv_embed.",
    ".self_attn.": ".attention.",
    ".self_attn_layer_norm.": ".layer_norm.",
    ".fc1.": ".feed_forward.intermediate_dense.",
    ".fc2.": ".feed_forward.output_dense.",
}
"""Parts of names of Whisper's encoder, and ours."""


def prefix(config: EncoderConfig) -> str:
    """What the names of the encoder's weights begin with in a model that has a head."""
    return f"{PREFIXES.get(config.model_type, config.model_type)}."


def from_hugging_face(state: Mapping[str, torch.Tensor], config: EncoderConfig) -> dict[str, torch.Tensor]:
    """The encoder's weights of a Hugging Face checkpoint under our names.

    Of a checkpoint with heads (pretraining, CTC) only the encoder is taken. One that was never pretrained with masks
    lacks the mask's embedding, which feature extraction does not use.
    """
    start = prefix(config)
    if any(name.startswith(start) for name in state):
        state = {name[len(start) :]: value for name, value in state.items() if name.startswith(start)}
    if config.model_type == WHISPER:
        encoder = {name: value for name, value in state.items() if name.startswith("encoder.")}
        converted = {_replaced(name, WHISPERS.items()): value for name, value in encoder.items()}
    else:
        converted = {_renamed(name, RENAMED): value for name, value in state.items()}
    converted.setdefault(MASKED, torch.zeros(config.hidden_size))
    return converted


def to_whisper(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of Whisper's encoder under the names that they have in a Whisper model, without `prefix`."""
    back = [(ours, theirs) for theirs, ours in WHISPERS.items()]
    last = "encoder.layer_norm."  # has the name there that norms of layers have here
    return {
        name if name.startswith(last) else _replaced(name, back): value
        for name, value in state.items()
        if name != MASKED
    }


def to_hugging_face(state: Mapping[str, torch.Tensor], config: EncoderConfig) -> dict[str, torch.Tensor]:
    """The inverse of `from_hugging_face`, for a model with a head; layers get the numbers 0, 1, … in their order."""
    numbers = sorted({int(found[1]) for name in state if (found := re.match(r"encoder\.layers\.(\d+)\.", name))})
    places = {number: place for place, number in enumerate(numbers)}

    def renumbered(found: re.Match[str]) -> str:
        return f"encoder.layers.{places[int(found[1])]}."

    def theirs(name: str) -> str:
        return prefix(config) + re.sub(r"^encoder\.layers\.(\d+)\.", renumbered, _renamed(name, THEIRS))

    return {theirs(name): value for name, value in state.items()}


def _replaced(name: str, parts: Iterable[tuple[str, str]]) -> str:
    for one, other in parts:
        name = name.replace(one, other)
    return name


def _renamed(name: str, names: Mapping[str, str]) -> str:
    for ending, other in names.items():
        if name.endswith(ending):
            return name.removesuffix(ending) + other
    return name
