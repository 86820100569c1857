"""The neural language model: ESPnet2's Transformer LM over the acoustic model's token list.

Configuration: {type: transformer_lm, embedding, dim, heads, layers, ffn, dropout}.
"""

from typing import Any

from espnet2.lm.espnet_model import ESPnetLanguageModel
from espnet2.lm.transformer_lm import TransformerLM


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
