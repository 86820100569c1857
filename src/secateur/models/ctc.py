"""CTC models out of ESPnet2's parts: a Transformer or Conformer encoder and a CTC head.

Configuration (SCHEMA has the defaults):
    features: number of mel bins F.
    input: `stack` (concatenate `stack` frames, a linear layer: cheap) or `conv2d` (subsampling by 4).
    encoder: {type: transformer | conformer, layers, dim, heads, ffn, dropout, attention_dropout, kernel}.
    intermediate_ctc: {layers, weight, condition}: Lee & Watanabe 2021; loss = (1−w)·L_ctc + w·mean_k L_ctc^(k). With
        `condition`, what layer k hands on is its output plus its head's posteriors, mapped linearly: self-conditioned
        CTC (Nozaki & Komatsu 2021).
    stochastic_depth: p_max; layer l of N is skipped with probability p_max·l/N in training (Lee, Kang & Watanabe 2021).
    flat_depth: whether all layers are skipped with p_max, as in LayerDrop (Fan, Grave & Joulin 2020); what is kept is
        scaled as for stochastic depth. Only of models that got it late.
"""

from collections.abc import Sequence
from typing import Any

import torch
from espnet.nets.pytorch_backend.conformer.convolution import ConvolutionModule
from espnet.nets.pytorch_backend.nets_utils import make_pad_mask
from espnet.nets.pytorch_backend.transformer.subsampling import (
    Conv2dSubsampling,
    Conv2dSubsampling1,
    Conv2dSubsampling2,
    Conv2dSubsampling6,
    Conv2dSubsampling8,
)
from espnet2.asr.ctc import CTC
from espnet2.asr.encoder.conformer_encoder import ConformerEncoder
from espnet2.asr.encoder.e_branchformer_encoder import EBranchformerEncoderLayer
from espnet2.asr.encoder.transformer_encoder import TransformerEncoder
from espnet2.asr.espnet_model import ESPnetASRModel
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.asr.layers.cgmlp import ConvolutionalSpatialGatingUnit
from espnet2.asr.preencoder.abs_preencoder import AbsPreEncoder

from secateur.core.errors import SecateurError
from secateur.models.conformer import use_fast_parts

SUBSAMPLINGS = (Conv2dSubsampling, Conv2dSubsampling1, Conv2dSubsampling2, Conv2dSubsampling6, Conv2dSubsampling8)
SHOWN = {"called": "CTC model"}
SCHEMA = {
    "training": {"$ref": "#/$defs/acoustic/training"},
    "input": {"$ref": "#/$defs/acoustic/input", "default": "conv2d"},
    "stack": {"$ref": "#/$defs/acoustic/stack", "default": 4},
    "encoder": {"$ref": "#/$defs/acoustic/encoder"},
    "intermediate_ctc": {"$ref": "#/$defs/intermediate_ctc", "default": {}},
    "stochastic_depth": {"$ref": "#/$defs/stochastic_depth", "default": 0.0},
    "start": {"$ref": "#/$defs/acoustic/start", "default": None},
}


class Float32CTC(CTC):
    """ESPnet's CTC, kept out of autocast: bfloat16 log-probabilities would round the loss to three digits."""

    def forward(self, hs_pad, hlens, ys_pad, ys_lens):
        with torch.autocast(hs_pad.device.type, enabled=False):
            return super().forward(hs_pad.float(), hlens, ys_pad, ys_lens)


class Normalize(AbsFrontend):
    """Global mean and variance normalisation of features (B, T, F); padding is set to zero.

    It stands where ESPnet has its front end, so that SpecAugment's zeros are the mean of the normalised features.
    """

    def __init__(self, bins: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(bins))
        self.register_buffer("std", torch.ones(bins))

    def output_size(self) -> int:
        return len(self.mean)

    def made_up(self, lengths: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        """Noise with the mean and variance of features, (B, T, F), of utterances of `lengths` frames."""
        noise = torch.randn(len(lengths), max(lengths), len(self.mean), generator=generator)
        return noise * self.std.cpu() + self.mean.cpu()

    def forward(self, speech: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if speech.shape[-1] != len(self.mean):
            raise SecateurError(
                f"features have {speech.shape[-1]} mel bins, and the model reads {len(self.mean)}; extract them with "
                f"features.mel_bins: {len(self.mean)}, or take a model that was trained on such features"
            )
        normalized = (speech - self.mean) / self.std
        return normalized.masked_fill(make_pad_mask(lengths, normalized, 1), 0.0), lengths


class Stack(AbsPreEncoder):
    """Concatenate every `factor` consecutive frames: (B, T, F) → (B, ⌈T/factor⌉, factor·F)."""

    def __init__(self, bins: int, factor: int):
        super().__init__()
        self.bins, self.factor = bins, factor

    def output_size(self) -> int:
        return self.bins * self.factor

    def forward(self, feats: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # Nothing negative is divided: ONNX rounds that towards zero.
        missing = (self.factor - feats.shape[1] % self.factor) % self.factor
        feats = torch.nn.functional.pad(feats, (0, 0, 0, missing))
        return feats.reshape(feats.shape[0], -1, self.output_size()), (lengths + self.factor - 1) // self.factor


class PaddingGuard:
    """Hooks that make an encoder's output for an utterance independent of the others in the batch.

    ESPnet's encoders leak padding in two places: `conv2d` subsampling counts outputs computed partly from padding as
    valid, and the depthwise convolutions of Conformer and E-Branchformer read the padding after the last frame.
    """

    def __init__(self, encoder: torch.nn.Module):
        self.lengths = torch.zeros(0)
        encoder.register_forward_pre_hook(self._note_lengths)
        for module in encoder.modules():
            if isinstance(module, SUBSAMPLINGS):
                module.register_forward_hook(self._drop_padded_outputs)
            elif isinstance(module, ConvolutionModule):
                module.depthwise_conv.register_forward_pre_hook(self._zero_padding)
            elif isinstance(module, ConvolutionalSpatialGatingUnit):
                module.conv.register_forward_pre_hook(self._zero_padding)
            elif isinstance(module, EBranchformerEncoderLayer):
                module.depthwise_conv_fusion.register_forward_pre_hook(self._zero_padding)

    def _note_lengths(self, _, arguments):
        self.lengths = arguments[1]

    def _drop_padded_outputs(self, module, _, output):
        hidden = output[0][0] if isinstance(output[0], tuple) else output[0]
        for layer in module.conv:
            if isinstance(layer, torch.nn.Conv2d):
                self.lengths = (self.lengths - layer.kernel_size[0]) // layer.stride[0] + 1
        valid = torch.arange(hidden.shape[1], device=hidden.device) < self.lengths.to(hidden.device)[:, None]
        return output[0], valid[:, None]

    def _zero_padding(self, _, arguments):
        hidden = arguments[0]
        padded = torch.arange(hidden.shape[2], device=hidden.device) >= self.lengths.to(hidden.device)[:, None]
        return (hidden.masked_fill(padded[:, None], 0.0),)


def build(config: dict[str, Any], tokens: list[str], **parts: Any) -> ESPnetASRModel:
    """Build the model that `config` describes; see the module's docstring.

    `parts` replaces arguments of ESPnetASRModel: other types put their decoder and loss weights in here.
    """
    bins, intermediate = config["features"], config["intermediate_ctc"]
    preencoder = Stack(bins, config["stack"]) if config["input"] == "stack" else None
    encoder = build_encoder(config, preencoder.output_size() if preencoder else bins)
    parts = {"decoder": None, "ctc_weight": 1.0} | parts
    return ESPnetASRModel(
        vocab_size=len(tokens),
        token_list=tokens,
        frontend=Normalize(bins),
        specaug=None,
        normalize=None,
        preencoder=preencoder,
        encoder=encoder,
        postencoder=None,
        ctc=Float32CTC(len(tokens), encoder.output_size()),
        joint_network=None,
        interctc_weight=intermediate["weight"] if intermediate["layers"] else 0.0,
        report_cer=False,
        report_wer=False,
        **parts,
    )


def build_encoder(config: dict[str, Any], width: int) -> TransformerEncoder | ConformerEncoder:
    """The encoder of `config` for input frames (B, T, width); it answers (B, T', dim)."""
    options = config["encoder"]
    common: dict[str, Any] = dict(
        input_size=width,
        output_size=options["dim"],
        attention_heads=options["heads"],
        linear_units=options["ffn"],
        num_blocks=options["layers"],
        dropout_rate=options["dropout"],
        positional_dropout_rate=options["dropout"],
        attention_dropout_rate=options["attention_dropout"],
        input_layer="linear" if config["input"] == "stack" else "conv2d",
        interctc_layer_idx=list(config["intermediate_ctc"]["layers"]),
        interctc_use_conditioning=config["intermediate_ctc"].get("condition", False),
        use_flash_attn=False,
    )
    if options["type"] == "conformer":
        encoder = ConformerEncoder(
            **common, macaron_style=True, rel_pos_type="latest", cnn_module_kernel=options["kernel"]
        )
        use_fast_parts(encoder, options["dim"])
    else:
        encoder = TransformerEncoder(**common)
    for number, layer in enumerate(encoder.encoders, 1):
        # ESPnet's own constructors take a flat rate at most; its layers read this attribute.
        ramp = 1.0 if config.get("flat_depth") else number / options["layers"]
        layer.stochastic_depth_rate = config["stochastic_depth"] * ramp
    encoder.padding_guard = PaddingGuard(encoder)
    return encoder
