"""Whisper (Radford et al. 2023), built, run and decoded by Hugging Face's transformers, out of folders of theirs.

The layers are numbered through: those of the encoder first, then those of the decoder. Both can be removed, and so can
heads of the three kinds of attention. The loss is the cross entropy of the text behind the prompt, in nats, summed over
an utterance and averaged over utterances.

Configuration: `whisper`, the folder's `config.json`; `generation`, its `generation_config.json`; `mel`, the options of
its feature extractor; `encoder` and `decoder`, what of it the pipeline asks of all models; and, where gates have pruned
the encoder, `shapes`, those of its layers (`secateur.models.upstream.config.LayerShape`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.modeling_whisper import WhisperAttention

from secateur.core.waves import STEP
from secateur.models.no_block import NoBlock
from secateur.models.surgery.compaction import remove_block
from secateur.models.upstream import encoder as upstream
from secateur.models.upstream.config import EncoderConfig, LayerShape
from secateur.models.upstream.waves import made_up, unframed
from secateur.models.upstream.window import RATE, WindowMel

SHOWN = {"called": "Whisper model"}
SCHEMA: dict[str, Any] = {}
PARTS = ("generate",)
ONLY_FROM_FOLDERS = True
FIXED = True

PADDING = -1
TRANSCRIBE = "transcribe"


class Attention(WhisperAttention):
    """Whisper's attention under the names that `secateur.models.surgery.heads` asks for."""

    @property
    def h(self) -> int:
        return self.num_heads

    @h.setter
    def h(self, heads: int) -> None:
        self.num_heads = heads

    @property
    def all_heads(self) -> int:
        return self.embed_dim // self.head_dim

    @property
    def d_k(self) -> int:
        return self.head_dim

    @property
    def linear_q(self) -> torch.nn.Linear:
        return self.q_proj

    @property
    def linear_k(self) -> torch.nn.Linear:
        return self.k_proj

    @property
    def linear_v(self) -> torch.nn.Linear:
        return self.v_proj

    @property
    def linear_out(self) -> torch.nn.Linear:
        return self.out_proj

    def nothing(self) -> "NoAttention":
        """What stands in its place when all its heads are gone."""
        return NoAttention(self.layer_idx)


class NoAttention(NoBlock):
    """No attention, called as transformers calls it.

    In generation, the number of tokens so far is read from what attention keeps of them, which this does in its place.
    """

    def __init__(self, layer_idx: int | None):
        super().__init__()
        self.layer_idx = layer_idx

    def forward(
        self,
        hidden_states: torch.Tensor,
        key_value_states: torch.Tensor | None = None,
        past_key_values: Any = None,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        if past_key_values is not None and key_value_states is None:
            batch, tokens, _ = hidden_states.shape
            nothing = hidden_states.new_zeros(batch, 1, tokens, 1)
            past_key_values.self_attention_cache.update(nothing, nothing, self.layer_idx)
        return super().forward(hidden_states), None


class RaggedAttention(upstream.Attention):
    """Self-attention of the encoder whose heads have widths of their own, called as transformers calls it."""

    def forward(self, hidden_states: torch.Tensor, **_: Any) -> tuple[torch.Tensor, None]:
        return super().forward(hidden_states, None, None), None

    def nothing(self) -> "NoAttention":
        """What stands in its place when all its heads are gone."""
        return NoAttention(None)


class Frontend(WindowMel):
    """Samples in frames (B, T, WIDTH) to log-mel energies (B, M, F) of the whole window."""

    def forward(self, speech: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-mel energies, and how many of their frames (B,) are of the utterance."""
        samples, counts = unframed(speech, lengths)
        found = super().forward([wave[:count] for wave, count in zip(samples, counts.tolist(), strict=True)])
        return found, torch.div(counts - 1, self.extractor.hop_length, rounding_mode="floor") + 1

    def made_up(self, lengths: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        """Noise as input, (B, T, WIDTH), of utterances of `lengths` frames, cut off where the window ends."""
        speech = made_up(lengths, generator)
        speech[:, int(self.seconds * RATE) // STEP :] = 0.0
        return speech


class Whisper(torch.nn.Module):
    """Whisper with the interface of this project's acoustic models.

    Attributes:
        encoder, decoder: transformers' modules.
        token_list: the names of all tokens, in the order of the outputs.
        specaug: SpecAugment on the log-mel energies in training, or None.
    """

    def __init__(self, config: Mapping[str, Any], tokens: Sequence[str]):
        super().__init__()
        net = WhisperForConditionalGeneration(WhisperConfig.from_dict(dict(config["whisper"])))
        net.generation_config = GenerationConfig.from_dict(dict(config["generation"]))
        for module in net.modules():
            if type(module) is WhisperAttention:
                module.__class__ = Attention
        if shapes := config.get("shapes"):
            reshape(net.model.encoder, config["whisper"], [LayerShape.of(shape) for shape in shapes])
        self.frontend = Frontend(config["mel"])
        self.encoder, self.decoder = net.model.encoder, net.model.decoder
        self.__dict__["net"] = net  # its parameters are those of encoder and decoder, and have their names
        self.token_list, self.prompt = list(tokens), int(config["prompt"])
        self.sos, self.end = net.config.decoder_start_token_id, net.config.eos_token_id
        self.ctc, self.specaug = None, None

    @property
    def layer_stacks(self) -> tuple[torch.nn.ModuleList, torch.nn.ModuleList]:
        """The layers of encoder and decoder, which are numbered through."""
        return self.encoder.layers, self.decoder.layers

    def layers_changed(self) -> None:
        """Bring what counts layers up to date, when some were removed."""
        self.net.config.encoder_layers, self.net.config.decoder_layers = map(len, self.layer_stacks)
        for place, layer in enumerate(self.decoder.layers):
            layer.self_attn.layer_idx = layer.encoder_attn.layer_idx = place

    def encode(self, speech: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames of samples (B, T, WIDTH) → (B, T', D), T' always that of the whole window, and T' (B,)."""
        with torch.autocast(speech.device.type, enabled=False):
            mel, frames = self.frontend(speech, lengths)
            if self.specaug is not None and self.training:
                mel = self.specaug(mel.transpose(1, 2), frames)[0].transpose(1, 2)
        output = self.encoder(mel).last_hidden_state
        return output, output.new_full((len(output),), output.shape[1], dtype=torch.long)

    def forward(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor, text: torch.Tensor, text_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """The loss, what it is made of, and the number of utterances; `text` (B, U) has the prompt and the end."""
        encoder_out, _ = self.encode(speech, speech_lengths)
        loss = self.losses(encoder_out, text).mean()
        return loss, {"loss": loss.detach()}, loss.new_tensor(len(text))

    def logits(self, encoder_out: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """The logits (B, U − 1, V) of what follows each token of `text` (B, U), padded with `PADDING`."""
        inputs = text[:, :-1].masked_fill(text[:, :-1] == PADDING, self.end)
        hidden = self.decoder(inputs, encoder_hidden_states=encoder_out, use_cache=False).last_hidden_state
        return torch.nn.functional.linear(hidden, self.decoder.embed_tokens.weight)

    def losses(self, encoder_out: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """The cross entropy (B,) of `text` (B, U), padded with `PADDING`, behind the prompt, in nats."""
        wanted = text[:, 1:].clone()
        wanted[:, : self.prompt - 1] = PADDING
        logits = self.logits(encoder_out, text).float().transpose(1, 2)
        return torch.nn.functional.cross_entropy(logits, wanted, ignore_index=PADDING, reduction="none").sum(1)

    def generate(self, encoder_out: torch.Tensor, languages: Sequence[str], beam: int) -> list[list[int]]:
        """Token ids of each utterance, by transformers' own generation, without timestamps.

        Args:
            languages: of each utterance, as codes or names that Whisper knows; a model of English alone takes none.
        """
        options: dict[str, Any] = {"num_beams": beam, "return_timestamps": False}
        options["use_cache"] = len(self.decoder.layers) > 0
        if self.prompt > 2:
            options |= {"language": list(languages), "task": TRANSCRIBE}
        found = self.net.generate(encoder_outputs=BaseModelOutput(last_hidden_state=encoder_out), **options)
        return found.tolist()


def reshape(encoder: torch.nn.Module, whisper: Mapping[str, Any], shapes: Sequence[LayerShape]) -> None:
    """Give the layers of transformers' encoder, in place, the shapes that gates have left of them; weights are new."""
    config = EncoderConfig.from_dict(whisper, "whisper")
    for layer, shape in zip(encoder.layers, shapes, strict=True):
        if shape.heads is None:
            remove_block(layer, "self_attn", "self_attn_layer_norm")
            layer.self_attn = NoAttention(None)
        else:
            layer.self_attn = RaggedAttention(config, shape)
        if shape.ffn is None:
            remove_block(layer, "fc2", "final_layer_norm")
            layer.fc1 = torch.nn.Identity()
        else:
            layer.fc1 = torch.nn.Linear(config.hidden_size, shape.ffn)
            layer.fc2 = torch.nn.Linear(shape.ffn, config.hidden_size)


def build(config: dict[str, Any], tokens: list[str]) -> Whisper:
    """Build the model that `config` describes; see the module's docstring."""
    return Whisper(config, tokens)


def from_hugging_face(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of a folder under our names: without the output layer, which is the embedding of the tokens."""
    return {name.removeprefix("model."): value for name, value in state.items() if name != "proj_out.weight"}


def to_hugging_face(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse; layers get the numbers 0, 1, … in their order, as they have them here."""
    return {f"model.{name}": value for name, value in state.items()}
