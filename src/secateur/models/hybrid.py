"""Hybrid CTC/attention models (Watanabe et al. 2017): the CTC model and an attention decoder on its encoder.

Configuration: that of `secateur.models.ctc`, and decoder {layers, heads, ffn, dropout}, ctc_weight, label_smoothing.
"""

from typing import Any

from espnet2.asr.decoder.transformer_decoder import TransformerDecoder
from espnet2.asr.espnet_model import ESPnetASRModel

from secateur.models import ctc


def build(config: dict[str, Any], tokens: list[str]) -> ESPnetASRModel:
    """Build the model; its loss is ctc_weight·L_ctc + (1 − ctc_weight)·L_attention."""
    options = config["decoder"]
    decoder = TransformerDecoder(
        vocab_size=len(tokens),
        encoder_output_size=config["encoder"]["dim"],
        attention_heads=options["heads"],
        linear_units=options["ffn"],
        num_blocks=options["layers"],
        dropout_rate=options["dropout"],
        positional_dropout_rate=options["dropout"],
        use_flash_attn=False,
    )
    return ctc.build(
        config, tokens, decoder=decoder, ctc_weight=config["ctc_weight"], lsm_weight=config["label_smoothing"]
    )
