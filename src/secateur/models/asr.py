"""Acoustic models out of ESPnet2's parts: Transformer or Conformer encoders with CTC, or hybrid CTC/attention.

Configuration (see `workflow/schemas/config.schema.yaml` for defaults):
    type: `ctc` or `hybrid`.
    features: number of mel bins F.
    input: `stack` (concatenate `stack` frames, a linear layer: cheap) or `conv2d` (subsampling by 4).
    encoder: {type: transformer | conformer, layers, dim, heads, ffn, dropout, attention_dropout, kernel}.
    intermediate_ctc: {layers, weight}: Lee & Watanabe 2021; loss = (1−w)·L_ctc + w·mean_k L_ctc^(k).
    stochastic_depth: p_max; layer l of N is skipped with probability p_max·l/N in training (Lee, Kang & Watanabe 2021).
    decoder: {layers, heads, ffn, dropout}, ctc_weight, label_smoothing: for `hybrid`.
"""

from typing import Any

import torch
from espnet2.asr.ctc import CTC
from espnet2.asr.decoder.transformer_decoder import TransformerDecoder
from espnet2.asr.encoder.conformer_encoder import ConformerEncoder
from espnet2.asr.encoder.transformer_encoder import TransformerEncoder
from espnet2.asr.espnet_model import ESPnetASRModel
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.asr.preencoder.abs_preencoder import AbsPreEncoder
from espnet.nets.pytorch_backend.nets_utils import make_pad_mask


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

    def forward(self, speech: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
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
        missing = -feats.shape[1] % self.factor
        feats = torch.nn.functional.pad(feats, (0, 0, 0, missing))
        return feats.reshape(len(feats), -1, self.output_size()), -(-lengths // self.factor)


def build(config: dict[str, Any], tokens: list[str]) -> ESPnetASRModel:
    """Build the model that `config` describes; see the module's docstring."""
    bins, options = config["features"], config["encoder"]
    stacked = config["input"] == "stack"
    preencoder = Stack(bins, config["stack"]) if stacked else None
    intermediate = config["intermediate_ctc"]
    common: dict[str, Any] = dict(
        input_size=preencoder.output_size() if preencoder else bins,
        output_size=options["dim"],
        attention_heads=options["heads"],
        linear_units=options["ffn"],
        num_blocks=options["layers"],
        dropout_rate=options["dropout"],
        positional_dropout_rate=options["dropout"],
        attention_dropout_rate=options["attention_dropout"],
        input_layer="linear" if stacked else "conv2d",
        interctc_layer_idx=list(intermediate["layers"]),
        use_flash_attn=False,
    )
    if options["type"] == "conformer":
        encoder = ConformerEncoder(
            **common, macaron_style=True, rel_pos_type="latest", cnn_module_kernel=options["kernel"]
        )
    else:
        encoder = TransformerEncoder(**common)
    for number, layer in enumerate(encoder.encoders, 1):
        # ESPnet's own constructors take a flat rate at most; its layers read this attribute.
        layer.stochastic_depth_rate = config["stochastic_depth"] * number / options["layers"]
    decoder, ctc_weight = None, 1.0
    if config["type"] == "hybrid":
        ctc_weight = config["ctc_weight"]
        decoder = TransformerDecoder(
            vocab_size=len(tokens),
            encoder_output_size=options["dim"],
            attention_heads=config["decoder"]["heads"],
            linear_units=config["decoder"]["ffn"],
            num_blocks=config["decoder"]["layers"],
            dropout_rate=config["decoder"]["dropout"],
            positional_dropout_rate=config["decoder"]["dropout"],
            use_flash_attn=False,
        )
    return ESPnetASRModel(
        vocab_size=len(tokens),
        token_list=tokens,
        frontend=Normalize(bins),
        specaug=None,
        normalize=None,
        preencoder=preencoder,
        encoder=encoder,
        postencoder=None,
        decoder=decoder,
        ctc=Float32CTC(len(tokens), options["dim"], zero_infinity=True),
        joint_network=None,
        ctc_weight=ctc_weight,
        interctc_weight=intermediate["weight"] if intermediate["layers"] else 0.0,
        lsm_weight=config["label_smoothing"],
        report_cer=False,
        report_wer=False,
    )
