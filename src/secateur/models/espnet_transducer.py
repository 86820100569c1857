"""ESPnet2 transducers out of ESPnet's own classes, for models that were trained there (its `asr` task).

Configuration: that of `secateur.models.espnet_asr`. The loss is this project's own, which gives the same numbers
(`secateur.models.rnnt_loss`): the one that ESPnet asks for has no build.
"""

from typing import Any

import torch
from espnet2.asr.decoder.transducer_decoder import TransducerDecoder
from espnet2.asr.espnet_model import ESPnetASRModel
from espnet2.asr_transducer.joint_network import JointNetwork

from secateur.models.espnet_asr import assemble, build_encoder
from secateur.models.lstm import use_safe_lstm
from secateur.models.rnnt_loss import rnnt_loss

SHOWN = {"called": "ESPnet transducer"}
SCHEMA = {}  # nobody writes such a model by hand
ONLY_FROM_FOLDERS = True
PARTS = ("joint_network",)


class Loss(torch.nn.Module):
    """The transducer loss as ESPnet calls it: the mean over utterances, in nats."""

    def __init__(self, blank: int):
        super().__init__()
        self.blank = blank

    def forward(
        self, logits: torch.Tensor, targets: torch.Tensor, frames: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            return rnnt_loss(logits.float(), targets, frames, labels, self.blank).mean()


def build(config: dict[str, Any], tokens: list[str]) -> ESPnetASRModel:
    """Build the model; its loss is L_transducer + ctc_weight · L_ctc, as ESPnet's."""
    espnet, size = config["espnet"], len(tokens)
    encoder = build_encoder(config)
    decoder = TransducerDecoder(size, embed_pad=0, **espnet.get("decoder_conf", {}))
    use_safe_lstm(decoder)
    model = assemble(config, tokens, encoder, decoder if config_weight(config) < 1 else None)
    # ESPnet's constructor would import its loss: the model becomes a transducer only now.
    model.decoder = decoder
    model.joint_network = JointNetwork(size, encoder.output_size(), decoder.dunits, **espnet.get("joint_net_conf", {}))
    model.use_transducer_decoder, model.error_calculator_trans = True, None
    model.criterion_transducer = Loss(model.blank_id)
    return model


def config_weight(config: dict[str, Any]) -> float:
    """The weight of CTC in the loss."""
    return config["espnet"].get("model_conf", {}).get("ctc_weight", 0.5)
