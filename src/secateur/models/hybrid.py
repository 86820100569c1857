"""Hybrid CTC/attention models (Watanabe et al. 2017): the CTC model and an attention decoder on its encoder.

Configuration: that of `secateur.models.ctc`, and decoder {layers, heads, ffn, dropout}, ctc_weight, label_smoothing.
"""

from typing import Any

from espnet2.asr.decoder.transformer_decoder import TransformerDecoder
from espnet2.asr.espnet_model import ESPnetASRModel

from secateur.models import ctc

SHOWN = {"called": "hybrid CTC/attention model"}
SCHEMA = {
    "training": {"$ref": "#/$defs/acoustic/training"},
    "input": {"$ref": "#/$defs/acoustic/input", "default": "conv2d"},
    "stack": {"$ref": "#/$defs/acoustic/stack", "default": 4},
    "encoder": {"$ref": "#/$defs/acoustic/encoder"},
    "intermediate_ctc": {"$ref": "#/$defs/intermediate_ctc", "default": {}},
    "stochastic_depth": {"$ref": "#/$defs/stochastic_depth", "default": 0.0},
    "start": {"$ref": "#/$defs/acoustic/start", "default": None},
    "decoder": {
        "description": "The attention decoder, a Transformer.",
        "type": "object",
        "additionalProperties": False,
        "default": {},
        "properties": {
            "layers": {"type": "integer", "minimum": 1, "default": 6, "description": "Number of layers."},
            "heads": {"type": "integer", "minimum": 1, "default": 4, "description": "Attention heads."},
            "ffn": {
                "type": "integer",
                "minimum": 1,
                "default": 2048,
                "description": "Units of the feed-forward layers.",
            },
            "dropout": {"$ref": "#/$defs/rate", "default": 0.1, "description": "Dropout rate."},
        },
    },
    "ctc_weight": {
        "description": "Weight of CTC against attention in the training loss.",
        "type": "number",
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.3,
    },
    "label_smoothing": {
        "$ref": "#/$defs/rate",
        "default": 0.0,
        "description": "Label smoothing of the attention loss.",
    },
}


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
