"""The neural language model: ESPnet2's Transformer LM over the acoustic model's token list.

Configuration: {type: transformer_lm, embedding, dim, heads, layers, ffn, dropout}.
"""

from typing import Any

from espnet2.lm.espnet_model import ESPnetLanguageModel
from espnet2.lm.transformer_lm import TransformerLM

SECTION = "language_models"
SHOWN = {"called": "Transformer language model"}
SCHEMA = {
    "training": {"type": "string", "description": "An entry of `training`."},
    "text": {
        "description": (
            "Text to train on instead of the corpus' training text: a file, one sentence a line, for each "
            "language. It is normalised as transcripts are; at most 1 % of its tokens may be unknown."
        ),
        "type": ["object", "null"],
        "minProperties": 1,
        "propertyNames": {"pattern": "^[a-z]{2,3}$"},
        "additionalProperties": {"type": "string"},
        "default": None,
    },
    "embedding": {"type": "integer", "minimum": 1, "default": 128, "description": "Width of the token embeddings."},
    "dim": {"type": "integer", "minimum": 8, "default": 512, "description": "Width; a multiple of `heads`."},
    "heads": {"type": "integer", "minimum": 1, "default": 8, "description": "Attention heads."},
    "ffn": {"type": "integer", "minimum": 1, "default": 2048, "description": "Units of the feed-forward layers."},
    "layers": {"type": "integer", "minimum": 1, "default": 16, "description": "Number of layers."},
    "dropout": {"$ref": "#/$defs/rate", "default": 0.1, "description": "Dropout rate."},
}


def build(config: dict[str, Any], tokens: list[str]) -> ESPnetLanguageModel:
    """Build the language model; sentences start and end with `<sos/eos>`, the last token."""
    lm = TransformerLM(
        vocab_size=len(tokens),
        embed_unit=config["embedding"],
        att_unit=config["dim"],
        head=config["heads"],
        unit=config["ffn"],
        layer=config["layers"],
        dropout_rate=config["dropout"],
        positional_dropout_rate=config["dropout"],
        attention_dropout_rate=config["dropout"],
    )
    return ESPnetLanguageModel(lm=lm, vocab_size=len(tokens))
