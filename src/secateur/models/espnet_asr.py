"""ESPnet2 CTC and hybrid models out of ESPnet's own classes, for models that were trained there.

Configuration: what the pipeline wants to know of any model (`features`, `input`, `encoder`, `decoder`,
`intermediate_ctc`, `stochastic_depth`), and `espnet`: the parts and options of ESPnet's config.yaml that build it. What
both say, the former decides. `secateur.models.formats.espnet` makes one out of the other.

ESPnet's Conformer has batch normalisation, where this project's own (`ctc`) normalises every frame, and its
E-Branchformer is not otherwise here; all three encoders are used as they are, but for `PaddingGuard`, which makes
the output for an utterance independent of the others in its batch: what ESPnet gives when it decodes it alone.
"""

from collections.abc import Mapping
from typing import Any

import torch
from espnet2.asr.decoder.transformer_decoder import TransformerDecoder
from espnet2.asr.encoder.conformer_encoder import ConformerEncoder
from espnet2.asr.encoder.e_branchformer_encoder import EBranchformerEncoder
from espnet2.asr.encoder.transformer_encoder import TransformerEncoder
from espnet2.asr.espnet_model import ESPnetASRModel

from secateur.core.errors import SecateurError
from secateur.models.ctc import Float32CTC, Normalize, PaddingGuard

SHOWN = {"called": "ESPnet model"}
SCHEMA = {}  # nobody writes such a model by hand
ONLY_FROM_FOLDERS = True
ENCODERS = {"transformer": TransformerEncoder, "conformer": ConformerEncoder, "e_branchformer": EBranchformerEncoder}


def build(config: dict[str, Any], tokens: list[str]) -> ESPnetASRModel:
    """Build the model; see the module's docstring."""
    espnet = config["espnet"]
    encoder = build_encoder(config)
    decoder = None
    if espnet.get("decoder"):
        decoder = TransformerDecoder(
            vocab_size=len(tokens),
            encoder_output_size=encoder.output_size(),
            **_without_flash(espnet.get("decoder_conf", {})),
        )
    return assemble(config, tokens, encoder, decoder)


def assemble(
    config: Mapping[str, Any], tokens: list[str], encoder: torch.nn.Module, decoder: torch.nn.Module | None
) -> ESPnetASRModel:
    """The model of these parts, with the options of `config`."""
    espnet, intermediate = config["espnet"], config["intermediate_ctc"]
    options = {"ctc_weight": 0.5, **espnet.get("model_conf", {})}
    options |= {"report_cer": False, "report_wer": False}
    options["interctc_weight"] = intermediate["weight"] if intermediate["layers"] else 0.0
    model = ESPnetASRModel(
        vocab_size=len(tokens),
        token_list=list(tokens),
        frontend=Normalize(config["features"]),
        specaug=None,
        normalize=None,
        preencoder=None,
        encoder=encoder,
        postencoder=None,
        decoder=decoder,
        ctc=Float32CTC(len(tokens), encoder.output_size(), **espnet.get("ctc_conf", {})),
        joint_network=None,
        **options,
    )
    model.frames_per_second = config.get("frames_per_second", 100)
    return model


def build_encoder(config: Mapping[str, Any]) -> torch.nn.Module:
    """ESPnet's encoder for features (B, T, F), with the layers that intermediate CTC and stochastic depth ask for."""
    name, depth = config["espnet"]["encoder"], config["stochastic_depth"]
    options = _without_flash(config["espnet"].get("encoder_conf", {}))
    options["num_blocks"] = config["encoder"]["layers"]
    options["interctc_layer_idx"] = list(config["intermediate_ctc"]["layers"])
    if name == "e_branchformer" and depth:
        raise SecateurError("stochastic_depth: ESPnet's E-Branchformer has none; leave it at 0")
    encoder = ENCODERS[name](input_size=config["features"], **options)
    if depth:  # else the rates are ESPnet's own
        for number, layer in enumerate(encoder.encoders, 1):
            layer.stochastic_depth_rate = depth * number / options["num_blocks"]
    encoder.padding_guard = PaddingGuard(encoder)
    return encoder


def _without_flash(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without kernels that need a library of their own, and compute the same."""
    return {**options, "use_flash_attn": False}
