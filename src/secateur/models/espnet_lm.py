"""ESPnet2 language models out of ESPnet's own classes, Transformer or recurrent, for models that were trained there.

Configuration: `espnet`, the keys `lm` and `lm_conf` of ESPnet's config.yaml.
"""

from typing import Any

from espnet2.lm.espnet_model import ESPnetLanguageModel
from espnet2.lm.seq_rnn_lm import SequentialRNNLM
from espnet2.lm.transformer_lm import TransformerLM

from secateur.models.lstm import use_safe_lstm

SECTION = "language_models"
SHOWN = {"called": "ESPnet language model"}
SCHEMA = {}  # nobody writes such a model by hand
ONLY_FROM_FOLDERS = True
KINDS = {"transformer": TransformerLM, "seq_rnn": SequentialRNNLM}


def build(config: dict[str, Any], tokens: list[str]) -> ESPnetLanguageModel:
    """Build the language model; sentences start and end with `<sos/eos>`, the last token."""
    espnet = config["espnet"]
    lm = KINDS[espnet["lm"]](vocab_size=len(tokens), **espnet.get("lm_conf", {}))
    use_safe_lstm(lm)
    return ESPnetLanguageModel(lm=lm, vocab_size=len(tokens))
