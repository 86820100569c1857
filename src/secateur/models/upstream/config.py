"""What an encoder is made of: its configuration, as Hugging Face writes it, and the shape of its layers."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from secateur.core.errors import SecateurError

DATA2VEC = "data2vec-audio"
TYPES = ("wavlm", "hubert", "wav2vec2", DATA2VEC)
WHISPER = "whisper"
"""The encoder of a Whisper model, which a folder gives, and nothing here pretrains."""
WAVES, MEL = "waves", "mel"
"""Front ends: convolutions of samples, or log-mel energies."""
MEL_WINDOW, MEL_SHIFT = 400, 160
"""Samples of a frame of log-mel energies, and from one to the next."""
GROUP, LAYER = "group", "layer"
"""Norms of the feature extractor: of the first convolution over time, or of every one over its channels."""

WINDOW_SHIFT = 320
"""Samples from one frame of Whisper's encoder to the next."""

WHISPERS = {
    "d_model": 384,
    "encoder_layers": 4,
    "encoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "max_source_positions": 1500,
    "num_mel_bins": 80,
    "activation_function": "gelu",
} | dict.fromkeys(("dropout", "activation_dropout", "attention_dropout"), 0.0)
"""Transformers' defaults of what a Whisper's configuration says of its encoder."""

# What the model has one form of: keys of a Hugging Face configuration with the value that is built, if they are there.
FIXED = {
    "feat_extract_activation": "gelu",
    "hidden_act": "gelu",
    "feat_proj_layer_norm": True,
    "conv_pos_batch_norm": False,
    "add_adapter": False,
    "adapter_attn_dim": None,
}


@dataclass(frozen=True)
class LayerShape:
    """What a Transformer layer has.

    Attributes:
        heads: numbers of its attention heads in the dense model, from 0; None: no attention block.
        qk, vo: width of each head's queries and keys, and of its values.
        ffn: width of the feed-forward block; None: no such block.
    """

    heads: tuple[int, ...] | None
    qk: tuple[int, ...]
    vo: tuple[int, ...]
    ffn: int | None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "LayerShape":
        """A shape as JSON has it."""
        heads = values["heads"]
        return cls(None if heads is None else tuple(heads), tuple(values["qk"]), tuple(values["vo"]), values["ffn"])


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes and rates of an encoder, under the names of Hugging Face's configurations.

    Attributes:
        model_type: one of TYPES.
        feat_extract_norm: norm of the feature extractor, `group` (base models) or `layer` (large ones, data2vec).
        do_stable_layer_norm: norms before the blocks, as large models have them, and not after.
        num_conv_pos_embeddings: taps of the position convolution; in data2vec the number of convolutions, each of
            `conv_pos_kernel_size` taps; in Whisper the frames of the window that it hears, whose positions are a table.
        do_normalize: bring every waveform to mean 0 and variance 1 first (in a Hugging Face folder a key of
            `preprocessor_config.json`).
        front_end: one of WAVES, MEL (`secateur.models.upstream.mel`). With MEL, `conv_dim`, `conv_stride` and
            `conv_kernel` have the one value that such frames amount to, whatever they are given as.
        mel_bins, mel_stack: of MEL: energies in 10 ms, and how many of these are one frame; of Whisper `mel_bins`.
        layers: the shape of every layer; None: all dense.
    """

    model_type: str = "wavlm"
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_dropout: float = 0.1
    activation_dropout: float = 0.1
    attention_dropout: float = 0.1
    feat_proj_dropout: float = 0.0
    layer_norm_eps: float = 1e-5
    conv_dim: tuple[int, ...] = (512,) * 7
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_bias: bool = False
    feat_extract_norm: str = GROUP
    do_stable_layer_norm: bool = False
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    conv_pos_kernel_size: int = 19
    num_buckets: int = 320
    max_bucket_distance: int = 800
    do_normalize: bool = False
    front_end: str = WAVES
    mel_bins: int = 80
    mel_stack: int = 2
    layers: tuple[LayerShape, ...] | None = None

    def __post_init__(self):
        if self.front_end == MEL:
            window = MEL_WINDOW + (self.mel_stack - 1) * MEL_SHIFT
            sizes = (self.mel_bins * self.mel_stack, MEL_SHIFT * self.mel_stack, window)
        elif self.model_type == WHISPER:
            sizes = (self.hidden_size, WINDOW_SHIFT, 1)
        else:
            return
        for name, size in zip(("conv_dim", "conv_stride", "conv_kernel"), sizes, strict=True):
            object.__setattr__(self, name, (size,))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str) -> "EncoderConfig":
        """Take what belongs here out of a configuration; `source` is its name in errors.

        Raises SecateurError for a type of model or a variant that `Encoder` does not build.
        """
        if values.get("model_type") not in (*TYPES, WHISPER):
            known = ", ".join((*TYPES, WHISPER))
            raise SecateurError(f"{source}: model_type {values.get('model_type')!r}; choose one of {known}")
        values = of_whisper(values)
        for key, wanted in FIXED.items():
            if values.get(key, wanted) != wanted:
                raise SecateurError(
                    f"{source}: {key} is {values[key]!r}, and only {wanted!r} is supported; choose a model of another "
                    "form (wavlm-base, hubert-large-ll60k, wav2vec2-base, data2vec-audio-base)"
                )
        if values["model_type"] == DATA2VEC:
            # Its configuration has no key for what all its models share.
            values = {"num_conv_pos_embeddings": 5, **values, "feat_extract_norm": LAYER, "do_stable_layer_norm": False}
        if values.get("feat_extract_norm", GROUP) not in (GROUP, LAYER):
            raise SecateurError(
                f"{source}: feat_extract_norm is {values['feat_extract_norm']!r}; choose {GROUP!r} or {LAYER!r}"
            )
        if values.get("front_end", WAVES) not in (WAVES, MEL):
            raise SecateurError(f"{source}: front_end is {values['front_end']!r}; choose {WAVES!r} or {MEL!r}")
        if values.get("front_end") == MEL and values.get("do_normalize"):
            raise SecateurError(f"{source}: do_normalize is for front_end {WAVES!r}; set it to false")
        known = {name: values[name] for name in (field.name for field in fields(cls)) if name in values}
        for name, value in known.items():
            if isinstance(value, list) and name != "layers":
                known[name] = tuple(value)
        if known.get("layers") is not None:
            known["layers"] = tuple(map(LayerShape.of, known["layers"]))
        config = cls(**known)
        if config.hidden_size % config.num_attention_heads:
            raise SecateurError(
                f"{source}: hidden_size {config.hidden_size} is no multiple of num_attention_heads "
                f"{config.num_attention_heads}"
            )
        if not len(config.conv_dim) == len(config.conv_stride) == len(config.conv_kernel):
            raise SecateurError(f"{source}: conv_dim, conv_stride and conv_kernel must have one value per layer each")
        return config

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @property
    def head_dim(self) -> int:
        """Width of a head of the dense model."""
        return self.hidden_size // self.num_attention_heads

    @property
    def dense_layer(self) -> LayerShape:
        """The shape of a layer that nothing was removed from."""
        heads, width = self.num_attention_heads, self.head_dim
        return LayerShape(tuple(range(heads)), (width,) * heads, (width,) * heads, self.intermediate_size)

    @property
    def shapes(self) -> tuple[LayerShape, ...]:
        """The shape of every layer."""
        return self.layers if self.layers is not None else (self.dense_layer,) * self.num_hidden_layers

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(self.conv_stride)

    @property
    def receptive_field(self) -> int:
        """Samples that one frame of the feature extractor sees."""
        field, hop = 1, 1
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            field, hop = field + (kernel - 1) * hop, hop * stride
        return field

    @property
    def window(self) -> int | None:
        """Samples of the window that is heard at once, whatever an utterance fills of it; None where there is none."""
        return self.num_conv_pos_embeddings * WINDOW_SHIFT if self.model_type == WHISPER else None

    def frames(self, samples):
        """Frames of so many samples (an integer or a tensor of them)."""
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples


def of_whisper(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration of Hugging Face's, that of a Whisper model under the names of `EncoderConfig`, others as is."""
    if values.get("model_type") != WHISPER or "hidden_size" in values:
        return values
    values = WHISPERS | dict(values)
    return {
        "model_type": WHISPER,
        "hidden_size": values["d_model"],
        "num_hidden_layers": values["encoder_layers"],
        "num_attention_heads": values["encoder_attention_heads"],
        "intermediate_size": values["encoder_ffn_dim"],
        "hidden_dropout": values["dropout"],
        "activation_dropout": values["activation_dropout"],
        "attention_dropout": values["attention_dropout"],
        "hidden_act": values["activation_function"],
        "do_stable_layer_norm": True,
        "num_conv_pos_embeddings": values["max_source_positions"],
        "num_conv_pos_embedding_groups": 1,
        "mel_bins": values["num_mel_bins"],
    }
