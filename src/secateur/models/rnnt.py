"""RNN transducers (Graves 2012): an encoder, an LSTM over the labels so far (the predictor), and a joiner of both.

Configuration (SCHEMA has the defaults):
    features: number of mel bins F.
    input, stack: as for `secateur.models.ctc`; an Emformer needs `stack`.
    encoder: {type: emformer, layers, dim, heads, ffn, dropout, attention_dropout, segment, left_context, right_context,
        memory, positions, convolution}, the contexts in frames after stacking (`secateur.models.emformer`): it streams;
        or a transformer or conformer as in `secateur.models.ctc`, which hears the whole utterance first.
    predictor: {embedding, dim, layers, dropout}: an embedding, and LSTM layers.
    joiner: {dim}: logits = W·tanh(encoder + predictor), both first projected to this width (Graves et al. 2013).
    ctc_weight: w; loss = L_rnnt + w·L_ctc, with a CTC head on the encoder that is used in training only; 0 for none.
"""

import math
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from secateur.core.errors import SecateurError
from secateur.models.ctc import Float32CTC, Normalize, Stack, build_encoder
from secateur.models.emformer import Emformer
from secateur.models.lstm import LSTM
from secateur.models.rnnt_loss import lattice_loss, rnnt_loss, step_log_probs

PARTS = ("joiner",)
SHOWN = {"called": "RNN transducer"}
SCHEMA = {
    "training": {"$ref": "#/$defs/acoustic/training"},
    "input": {
        "description": "As for `ctc`; an Emformer needs `stack`.",
        "enum": ["stack", "conv2d"],
        "default": "stack",
    },
    "stack": {"description": "Frames to concatenate, for `stack`.", "type": "integer", "minimum": 1, "default": 4},
    "encoder": {
        "description": "An Emformer (Shi et al. 2021), or an encoder that hears the whole utterance first.",
        "type": "object",
        "required": ["type", "layers", "dim"],
        "oneOf": [
            {
                "title": "emformer",
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "emformer", "description": "Segment by segment."},
                    "layers": {"type": "integer", "minimum": 1, "description": "Number of layers N."},
                    "dim": {"type": "integer", "minimum": 8, "description": "Width d; a multiple of `heads`."},
                    "heads": {"type": "integer", "minimum": 1, "default": 8, "description": "Attention heads."},
                    "ffn": {
                        "type": "integer",
                        "minimum": 1,
                        "default": 2048,
                        "description": "Units of the feed-forward layers.",
                    },
                    "dropout": {"$ref": "#/$defs/rate", "default": 0.1, "description": "Dropout rate."},
                    "attention_dropout": {
                        "$ref": "#/$defs/rate",
                        "default": 0.0,
                        "description": "Dropout of attention weights.",
                    },
                    "segment": {
                        "type": "integer",
                        "minimum": 1,
                        "default": 4,
                        "description": "Stacked frames of a segment.",
                    },
                    "left_context": {
                        "type": "integer",
                        "minimum": 0,
                        "default": 30,
                        "description": "Stacked frames heard before it.",
                    },
                    "right_context": {
                        "type": "integer",
                        "minimum": 0,
                        "default": 1,
                        "description": "Stacked frames heard after it.",
                    },
                    "memory": {
                        "type": "integer",
                        "minimum": 0,
                        "default": 0,
                        "description": "Summaries of earlier segments.",
                    },
                    "positions": {
                        "type": "boolean",
                        "default": False,
                        "description": "A learned bias for every distance; ours.",
                    },
                    "convolution": {
                        "type": "integer",
                        "minimum": 0,
                        "default": 0,
                        "description": "Width of a causal convolution in every layer; ours; 0 for none.",
                    },
                },
            },
            {
                "title": "transformer",
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "transformer", "description": "A Transformer, which hears the whole utterance."},
                    "layers": {"$ref": "#/$defs/acoustic/encoder/properties/layers"},
                    "dim": {"$ref": "#/$defs/acoustic/encoder/properties/dim"},
                    "heads": {"$ref": "#/$defs/acoustic/encoder/properties/heads", "default": 4},
                    "ffn": {"$ref": "#/$defs/acoustic/encoder/properties/ffn", "default": 2048},
                    "dropout": {"$ref": "#/$defs/acoustic/encoder/properties/dropout", "default": 0.1},
                    "attention_dropout": {
                        "$ref": "#/$defs/acoustic/encoder/properties/attention_dropout",
                        "default": 0.0,
                    },
                    "kernel": {"$ref": "#/$defs/acoustic/encoder/properties/kernel", "default": 31},
                },
            },
            {
                "title": "conformer",
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "conformer", "description": "A Conformer, which hears the whole utterance."},
                    "layers": {"$ref": "#/$defs/acoustic/encoder/properties/layers"},
                    "dim": {"$ref": "#/$defs/acoustic/encoder/properties/dim"},
                    "heads": {"$ref": "#/$defs/acoustic/encoder/properties/heads", "default": 4},
                    "ffn": {"$ref": "#/$defs/acoustic/encoder/properties/ffn", "default": 2048},
                    "dropout": {"$ref": "#/$defs/acoustic/encoder/properties/dropout", "default": 0.1},
                    "attention_dropout": {
                        "$ref": "#/$defs/acoustic/encoder/properties/attention_dropout",
                        "default": 0.0,
                    },
                    "kernel": {"$ref": "#/$defs/acoustic/encoder/properties/kernel", "default": 31},
                },
            },
        ],
    },
    "stochastic_depth": {
        "description": "As for `ctc`; transformer and conformer only.",
        "$ref": "#/$defs/rate",
        "default": 0.0,
    },
    "predictor": {
        "description": "The LSTM over the labels so far.",
        "type": "object",
        "additionalProperties": False,
        "default": {},
        "properties": {
            "embedding": {
                "type": "integer",
                "minimum": 1,
                "default": 512,
                "description": "Width of the label embeddings.",
            },
            "dim": {"type": "integer", "minimum": 1, "default": 512, "description": "Width of the LSTM."},
            "layers": {"type": "integer", "minimum": 1, "default": 3, "description": "LSTM layers."},
            "dropout": {"$ref": "#/$defs/rate", "default": 0.1, "description": "Dropout rate."},
        },
    },
    "joiner": {
        "description": "What joins encoder and predictor.",
        "type": "object",
        "additionalProperties": False,
        "default": {},
        "properties": {
            "dim": {"type": "integer", "minimum": 1, "default": 1024, "description": "Width of the joint layer."}
        },
    },
    "ctc_weight": {
        "description": "Weight of an auxiliary CTC loss on the encoder; 0 for none.",
        "type": "number",
        "minimum": 0,
        "default": 0.0,
    },
}

FRAME_SECONDS = 0.01
LARGEST_JOINT = {"cpu": 2**25, "cuda": 2**29}  # numbers in a tensor over all frames and prefixes of a batch
LSTMState = tuple[torch.Tensor, torch.Tensor]


class Predictor(torch.nn.Module):
    """An LSTM language model without its output layer. The blank, which is never its input, begins a sentence."""

    def __init__(self, vocabulary: int, options: dict[str, Any]):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, options["embedding"])
        self.norm = torch.nn.LayerNorm(options["embedding"])
        self.input_dropout = torch.nn.Dropout(options["dropout"])
        self.lstm = LSTM(
            options["embedding"],
            options["dim"],
            options["layers"],
            batch_first=True,
            dropout=options["dropout"] if options["layers"] > 1 else 0.0,
        )
        self.output_dropout = torch.nn.Dropout(options["dropout"])

    def forward(self, labels: torch.Tensor, state: LSTMState | None = None) -> tuple[torch.Tensor, LSTMState]:
        """Read labels (B, U) on from `state`: output (B, U, D) and the state after them, two of (layers, B, D)."""
        hidden, state = self.lstm(self.input_dropout(self.norm(self.embedding(labels))), state)
        return self.output_dropout(hidden), state


class Joiner(torch.nn.Module):
    """Scores every label at every frame after every prefix."""

    def __init__(self, encoder_dim: int, predictor_dim: int, dim: int, vocabulary: int):
        super().__init__()
        self.encoder = torch.nn.Linear(encoder_dim, dim)
        self.predictor = torch.nn.Linear(predictor_dim, dim, bias=False)
        self.output = torch.nn.Linear(dim, vocabulary)

    def forward(self, encoder_out: torch.Tensor, predictor_out: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, U, V) of encoder output (B, T, D) and predictor output (B, U, D')."""
        return self.join(self.encoder(encoder_out)[:, :, None], self.predictor(predictor_out)[:, None])

    def join(self, frame: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
        """Logits (…, V) of a frame and a prefix that are projected already (…, J); their shapes are broadcast."""
        return self.output((frame + prefix).tanh_())  # in place: in training this is the largest tensor


class Transducer(torch.nn.Module):
    """The model; its interface is that of ESPnet's `ESPnetASRModel`, whose own transducer needs a CUDA library."""

    def __init__(self, config: dict[str, Any], tokens: list[str]):
        super().__init__()
        bins, options = config["features"], config["encoder"]
        self.token_list, self.blank_id = tokens, 0
        self.sos = self.eos = len(tokens) - 1
        self.frontend = Normalize(bins)
        self.specaug = None
        self.preencoder = Stack(bins, config["stack"]) if config["input"] == "stack" else None
        width = self.preencoder.output_size() if self.preencoder else bins
        if options["type"] == "emformer":
            if self.preencoder is None:
                raise SecateurError(f"input is {config['input']!r}; an emformer encoder needs input: stack")
            self.encoder = Emformer(width, options)
        else:
            self.encoder = build_encoder(config | {"intermediate_ctc": {"layers": []}}, width)
        self.decoder = None
        self.predictor = Predictor(len(tokens), config["predictor"])
        self.joiner = Joiner(
            self.encoder.output_size(), config["predictor"]["dim"], config["joiner"]["dim"], len(tokens)
        )
        self.ctc_weight = config["ctc_weight"]
        self.ctc = Float32CTC(len(tokens), self.encoder.output_size()) if self.ctc_weight else None

    @property
    def algorithmic_latency(self) -> float:
        """Seconds of audio that must follow the beginning of a frame before it can be decoded on any machine.

        A streaming encoder waits for a segment to be complete, and then for its look-ahead: (segment + right context) ·
        stack · 10 ms for the first frame of a segment; the last one waits for a segment less. Infinite for an encoder
        that hears the whole utterance first.
        """
        if not isinstance(self.encoder, Emformer):
            return math.inf
        return self.encoder.latency * self.preencoder.factor * FRAME_SECONDS

    def encode(self, speech: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode features (B, T, F) of `lengths` (B,): (B, T', D) and its lengths (B,)."""
        feats, lengths = self.frontend(speech[:, : lengths.max()], lengths)
        if self.specaug is not None and self.training:
            feats, lengths = self.specaug(feats, lengths)
        if self.preencoder is not None:
            feats, lengths = self.preencoder(feats, lengths)
        encoder_out, lengths, _ = self.encoder(feats, lengths)
        return encoder_out, lengths

    def forward(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor, text: torch.Tensor, text_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
        """Mean loss over the utterances, statistics, and the number of utterances.

        Args: features (B, T, F) and lengths (B,), token ids (B, U), padded with anything, and lengths (B,).
        """
        encoder_out, encoder_lengths = self.encode(speech, speech_lengths)
        text = text[:, : text_lengths.max()]
        loss = self.transducer_losses(encoder_out, encoder_lengths, text, text_lengths).mean()
        statistics = {"loss_transducer": loss.detach()}
        if self.ctc is not None:
            ctc = self.ctc(encoder_out, encoder_lengths, text, text_lengths)
            statistics["loss_ctc"] = ctc.detach()
            loss = loss + self.ctc_weight * ctc
        statistics["loss"] = loss.detach()
        return loss, statistics, len(speech)

    def transducer_losses(
        self, encoder_out: torch.Tensor, encoder_lengths: torch.Tensor, text: torch.Tensor, text_lengths: torch.Tensor
    ) -> torch.Tensor:
        """−ln P(text | speech) of each utterance (B,), from encoder output (B, T', D)."""
        valid = torch.arange(text.shape[1], device=text.device) < text_lengths[:, None]
        text = text.masked_fill(~valid, self.blank_id)
        predictor_out, _ = self.predictor(torch.nn.functional.pad(text, (1, 0), value=self.blank_id))
        # bfloat16 logits would round the loss to three digits, as with CTC.
        with torch.autocast(encoder_out.device.type, enabled=False):
            frames = self.joiner.encoder(encoder_out.float())[:, :, None]
            prefixes = self.joiner.predictor(predictor_out.float())[:, None]
            width = max(frames.shape[-1], len(self.token_list))
            parts = -(-len(text) * frames.shape[1] * prefixes.shape[2] * width // LARGEST_JOINT[frames.device.type])
            if parts <= 1:
                logits = self.joiner.join(frames, prefixes)
                return rnnt_loss(logits, text, encoder_lengths, text_lengths, self.blank_id, reuse_logits=True)

            def steps(frames: torch.Tensor, prefixes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                return step_log_probs(self.joiner.join(frames, prefixes), text, self.blank_id)

            # Long utterances would take gigabytes: join some frames at a time, and again for the gradient.
            parts = [
                checkpoint(steps, part, prefixes, use_reentrant=False, preserve_rng_state=False)
                for part in frames.chunk(parts, dim=1)
            ]
            log_blank, log_label = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
            return lattice_loss(log_blank, log_label, encoder_lengths, text_lengths)

    def stream(self) -> "EncoderStream":
        """Begin to encode an utterance while it is being spoken."""
        return EncoderStream(self)


class EncoderStream:
    """The encoder of a streaming model in evaluation mode, fed with features as they arrive, for one utterance.

    All output together is what `Transducer.encode` makes of the whole utterance. Raises SecateurError when the encoder
    cannot stream. `step` is the number of feature frames from one segment to the next.
    """

    def __init__(self, model: Transducer):
        if not isinstance(model.encoder, Emformer):
            name = type(model.encoder).__name__
            raise SecateurError(f"the encoder, {name}, hears whole utterances; only an emformer encoder can stream")
        self._model = model
        self.step = model.encoder.segment * model.preencoder.factor
        self._chunk = model.encoder.latency * model.preencoder.factor
        self._frames = model.frontend.mean.new_zeros(0, model.frontend.output_size())
        self._state = None

    def accept(self, features: torch.Tensor) -> torch.Tensor:
        """Take the next features (T, F), any number; returns the output that they complete (1, T', D), T' from 0."""
        self._frames = torch.cat([self._frames, features])
        outputs = [self._none()]
        while len(self._frames) >= self._chunk:
            outputs.append(self._encode())
        return torch.cat(outputs, dim=1)

    def finish(self) -> torch.Tensor:
        """The rest of the output (1, T', D): no more features will come."""
        outputs = [self._none()]
        while len(self._frames):
            outputs.append(self._encode())
        return torch.cat(outputs, dim=1)

    def _none(self) -> torch.Tensor:
        return self._frames.new_zeros(1, 0, self._model.encoder.output_size())

    def _encode(self) -> torch.Tensor:
        model = self._model
        chunk = self._frames[None, : self._chunk]
        length = torch.tensor([chunk.shape[1]], device=chunk.device)
        feats, length = model.preencoder(*model.frontend(chunk, length))
        feats = torch.nn.functional.pad(feats, (0, 0, 0, model.encoder.latency - feats.shape[1]))
        output, length, self._state = model.encoder.infer(feats, length, self._state)
        self._frames = self._frames[self.step :]
        return output[:, : int(length)]


def build(config: dict[str, Any], tokens: list[str]) -> Transducer:
    """Build the model that `config` describes; see the module's docstring."""
    return Transducer(config, tokens)
