"""CTC models that Hugging Face's transformers fine-tunes from self-supervised encoders, on ESPnet2's model.

Wav2Vec2ForCTC, HubertForCTC, WavLMForCTC and Data2VecAudioForCTC, base and large, out of folders of theirs
(`secateur.models.formats.hf_ctc`). The convolutions that make frames of samples stand where ESPnet has its front end,
so that SpecAugment works on their output; the layers are called as ESPnet's are, so that layers and heads can be
removed as from any encoder.

Configuration: `upstream`, that of the encoder (`secateur.models.upstream.config`), and `encoder`, what of it the
pipeline asks of all models.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.asr.espnet_model import ESPnetASRModel
from espnet2.asr.frontend.abs_frontend import AbsFrontend

from secateur.core.errors import SecateurError
from secateur.models.ctc import Float32CTC
from secateur.models.upstream.config import EncoderConfig
from secateur.models.upstream.convolutions import FeatureProjection, valid_frames
from secateur.models.upstream.encoder import EncoderLayer, Frames, Transformer
from secateur.models.upstream.names import MASKED, from_hugging_face, to_hugging_face
from secateur.models.upstream.waves import made_up, unframed

SHOWN = {"called": "CTC model of Hugging Face's"}
SCHEMA: dict[str, Any] = {}
ONLY_FROM_FOLDERS = True
FIXED = True

State = tuple[torch.Tensor, torch.Tensor | None]
"""What layers hand on: hidden states (B, T, D), and WavLM's position bias (H, T, T)."""


class Frontend(Frames, AbsFrontend):
    """Samples in frames (B, T, WIDTH) to the output of the convolutions (B, T', C)."""

    def output_size(self) -> int:
        return self.config.conv_dim[-1]

    def forward(self, speech: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.features(*unframed(speech, lengths))

    def made_up(self, lengths: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        """Noise as input, (B, T, F), of utterances of `lengths` frames."""
        return made_up(lengths, generator)


class Layer(EncoderLayer):
    """A layer that is called as ESPnet's are."""

    def forward(self, state: State, mask: torch.Tensor) -> tuple[State, torch.Tensor]:
        """State and mask (B, 1, T), true for valid frames, to both."""
        hidden, positions = state
        return (super().forward(hidden, positions, ~mask.squeeze(1)), positions), mask


class UpstreamEncoder(Transformer, AbsEncoder):
    """Projection, position embedding and layers; `after_norm` follows the last layer, a norm in the large form."""

    def __init__(self, config: EncoderConfig):
        super().__init__(config, Layer)
        self.embed = FeatureProjection(config)
        self.encoders, self.size = self.layers, config.hidden_size
        del self.layers
        if self.normalize_before:
            self.after_norm = self.layer_norm
            del self.layer_norm
        else:
            self.after_norm = torch.nn.Identity()

    def output_size(self) -> int:
        return self.size

    def forward(
        self, features: torch.Tensor, lengths: torch.Tensor, prev_states: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        """(B, T, C) of `lengths` (B,) → (B, T, D), the same lengths, and no state."""
        mask = valid_frames(lengths, features.shape[1])[:, None]
        state = self.begin(self.embed(features), ~mask.squeeze(1))
        for layer in self.encoders:
            state, mask = layer(state, mask)
        return self.after_norm(state[0]), lengths, None


def build(config: dict[str, Any], tokens: list[str]) -> ESPnetASRModel:
    """Build the model that `config` describes; see the module's docstring."""
    upstream = EncoderConfig.from_dict(config["upstream"], "upstream")
    encoder = UpstreamEncoder(upstream)
    return ESPnetASRModel(
        vocab_size=len(tokens),
        token_list=tokens,
        frontend=Frontend(upstream),
        specaug=None,
        normalize=None,
        preencoder=None,
        encoder=encoder,
        postencoder=None,
        decoder=None,
        ctc=Float32CTC(len(tokens), encoder.output_size()),
        joint_network=None,
        ctc_weight=1.0,
        report_cer=False,
        report_wer=False,
    )


def from_encoder(
    state: Mapping[str, torch.Tensor], config: Mapping[str, Any], rows: Sequence[int | None], never: float, file: str
) -> dict[str, torch.Tensor]:
    """The weights of this model out of those of a folder's, by transformers' names.

    Args:
        rows: for every token the row of the folder's output layer; None for one that it has not.
        never: the logit of such a token.
        file: for messages.

    Raises SecateurError for an output layer that is missing or of another size.
    """
    upstream = EncoderConfig.from_dict(config["upstream"], file)
    head = {name: state.get(f"lm_head.{name}") for name in ("weight", "bias")}
    outputs = sum(row is not None for row in rows)
    for name, value in head.items():
        if value is None or len(value) != outputs:
            found = "missing" if value is None else f"for {len(value)} tokens"
            raise SecateurError(
                f"{file}: lm_head.{name} is {found}, and config.json has vocab_size {outputs}; take a folder whose "
                "model was fine-tuned for CTC with this vocabulary"
            )
    known = [0 if row is None else row for row in rows]
    added = torch.tensor([row is None for row in rows])
    ours = {"ctc.ctc_lo.weight": head["weight"][known].masked_fill(added[:, None], 0.0)}
    ours["ctc.ctc_lo.bias"] = head["bias"][known].masked_fill(added, never)
    inner = {name: value for name, value in state.items() if not name.startswith("lm_head.")}
    return ours | from_upstream(from_hugging_face(inner, upstream), upstream)


def from_upstream(state: Mapping[str, torch.Tensor], upstream: EncoderConfig) -> dict[str, torch.Tensor]:
    """The weights of an `Encoder` under the names that they have here."""
    return {_renamed(name, _names(upstream)): value for name, value in state.items() if name != MASKED}


def to_encoder(
    state: Mapping[str, torch.Tensor], config: Mapping[str, Any], rows: Sequence[int | None]
) -> dict[str, torch.Tensor]:
    """The inverse of `from_encoder`."""
    upstream = EncoderConfig.from_dict(config["upstream"], "upstream")
    back = {ours: theirs for theirs, ours in _names(upstream).items()}
    places = sorted((row, place) for place, row in enumerate(rows) if row is not None)
    order = [place for _, place in places]
    inner = {MASKED: torch.zeros(upstream.hidden_size)}
    inner |= {_renamed(name, back): value for name, value in state.items() if not name.startswith("ctc.")}
    head = {f"lm_head.{name}": state[f"ctc.ctc_lo.{name}"][order] for name in ("weight", "bias")}
    return to_hugging_face(inner, upstream) | head


def _names(upstream: EncoderConfig) -> dict[str, str]:
    """Beginnings of the names of an `Encoder`'s weights, and of the same in this model."""
    last = "encoder.after_norm." if upstream.do_stable_layer_norm else "encoder.layer_norm."
    return {
        "feature_extractor.": "frontend.feature_extractor.",
        "feature_projection.": "encoder.embed.",
        "encoder.layer_norm.": last,
        "encoder.layers.": "encoder.encoders.",
    }


def _renamed(name: str, names: Mapping[str, str]) -> str:
    for beginning, other in names.items():
        if name.startswith(beginning):
            return other + name.removeprefix(beginning)
    return name
