"""Attention heads of a model: which there are, gates on them, and removing them physically.

A head is named by the block it is in, the number of the layer and its own number, both from 1. The numbers are those of
the whole model in every smaller one and in every file, as for layers (`surgery.layers`): head 3 stays head 3
when head 2 is gone.

    encoder-self     self-attention of the encoder: ESPnet's Transformer, Conformer and E-Branchformer, the Emformer,
                     and those of Hugging Face's models; of a Transformer language model that of its layers
    decoder-self     self-attention of an attention decoder
    decoder-source   its attention to the encoder's output

When the last head of a block goes, all of the block goes, with the bias of its output and the norm of its input: the
residual path alone is left. A model that is only masked does the same to the residual path.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from secateur.core.errors import SecateurError
from secateur.models import types
from secateur.models.no_block import NoBlock, NoBranch
from secateur.models.surgery.compaction import by_utterance, keep_inputs, keep_outputs, keep_slices, remove_block
from secateur.models.surgery.layers import has_decoder, numbered_layers, stacks

BLOCKS = ("encoder-self", "decoder-self", "decoder-source")
# Attention and its norm in the layers of ESPnet's Conformer, Transformer and E-Branchformer, of the Emformer and of
# upstream encoders.
_ENCODER_MODULES = (
    ("self_attn", "norm_mha"),
    ("self_attn", "norm1"),
    ("attn", "norm_mha"),
    ("attention", "norm_attention"),
    ("attention", "layer_norm"),
    ("self_attn", "self_attn_layer_norm"),
)
_DECODER_MODULES = {"decoder-self": ("self_attn", "norm1"), "decoder-source": ("src_attn", "norm2")}
_WHISPER_MODULES = {
    "decoder-self": ("self_attn", "self_attn_layer_norm"),
    "decoder-source": ("encoder_attn", "encoder_attn_layer_norm"),
}


class Head(NamedTuple):
    """The name of a head. Heads sort by block as `BLOCKS` does, then by layer, then by number: see `place`."""

    block: str
    layer: int
    head: int

    @property
    def attention(self) -> tuple[str, int]:
        """What the head is a part of: a block of a layer."""
        return self.block, self.layer

    @property
    def place(self) -> tuple[int, int, int]:
        """What to sort by."""
        return BLOCKS.index(self.block), self.layer, self.head

    def __str__(self) -> str:
        return f"{self.block} {self.layer}.{self.head}"


@dataclass(frozen=True)
class Attention:
    """Where an attention block is: `name` and `norm` are names of modules of `layer`."""

    layer: torch.nn.Module
    name: str
    norm: str

    @property
    def module(self) -> torch.nn.Module:
        return getattr(self.layer, self.name)

    @property
    def heads(self) -> list[int]:
        """Numbers, in the whole model, of the heads that it has."""
        if isinstance(self.module, NoBlock):
            return []
        return list(getattr(self.module, "head_numbers", range(1, self.module.h + 1)))


def attentions(model: torch.nn.Module) -> dict[tuple[str, int], Attention]:
    """Every attention block of `model` by block and layer, those without heads too, in the order of `Head.place`.

    Raises SecateurError when the model has no stack of layers with attention.
    """
    found = {}
    encoder = {id(layer) for layer in stacks(model)[0]}
    for number, layer in numbered_layers(model).items():
        if id(layer) not in encoder:  # Whisper's decoder, whose layers are numbered on
            found |= {(block, number): Attention(layer, *names) for block, names in _WHISPER_MODULES.items()}
            continue
        names = next((names for names in _ENCODER_MODULES if all(hasattr(layer, name) for name in names)), None)
        if names is None:
            raise SecateurError(f"{type(layer).__name__}: no attention whose heads could be removed is known in it")
        found["encoder-self", number] = Attention(layer, *names)
    for block, names in _DECODER_MODULES.items():
        for number, layer in numbered_layers(model, types.DECODER).items() if has_decoder(model) else ():
            found[block, number] = Attention(layer, *names)
    return dict(sorted(found.items(), key=lambda one: (BLOCKS.index(one[0][0]), one[0][1])))


def heads(model: torch.nn.Module) -> list[Head]:
    """The heads of `model`, in the order of `Head.place`."""
    return [Head(*key, number) for key, attention in attentions(model).items() for number in attention.heads]


def has_all_heads(model: torch.nn.Module) -> bool:
    """Whether no head of any layer is gone: all attention blocks of a kind have heads 1 to h, with the same h.

    Attention that knows how many it was built with (`all_heads`) has as many.
    """
    sizes: dict[str, set[tuple[int, ...]]] = {}
    for (block, _), attention in attentions(model).items():
        sizes.setdefault(block, set()).add(tuple(attention.heads))
        if len(attention.heads) != getattr(attention.module, "all_heads", len(attention.heads)):
            return False
    return all(len(found) == 1 and max(found)[-1:] == (len(max(found)),) for found in sizes.values())


def remove_heads(model: torch.nn.Module, removed: Iterable[Head]) -> torch.nn.Module:
    """Remove heads from `model`, in place, and return it. Attention without heads left goes altogether.

    Raises SecateurError for a head that the model does not have, before anything is removed.
    """
    found, by_attention = attentions(model), _by_attention(model, removed)
    for key, numbers in by_attention.items():
        _keep(found[key], [number for number in found[key].heads if number not in numbers])
    return model


def kept_heads(model: torch.nn.Module) -> dict[str, dict[str, list[int]]]:
    """The heads that `model` has, for its configuration (`kept_heads`): block → layer → numbers."""
    kept: dict[str, dict[str, list[int]]] = {}
    for (block, layer), attention in attentions(model).items():
        kept.setdefault(block, {})[str(layer)] = attention.heads
    return kept


def keep_heads(model: torch.nn.Module, kept: Mapping[str, Mapping[str, list[int]]]) -> torch.nn.Module:
    """Remove all other heads of the blocks and layers that are named, in place; the inverse of `kept_heads`.

    Raises SecateurError for what the model does not have.
    """
    found = attentions(model)
    for block, layers in kept.items():
        for layer, numbers in layers.items():
            attention = found.get((block, int(layer)))
            if attention is None:
                raise SecateurError(f"the model has no attention {block} {layer}; correct kept_heads in its model.json")
            if missing := set(numbers) - set(attention.heads):
                raise SecateurError(f"the model has no head {Head(block, int(layer), min(missing))}")
            if sorted(numbers) != attention.heads:
                _keep(attention, sorted(numbers))
    return model


@contextmanager
def gated(model: torch.nn.Module, gates: Mapping[tuple[str, int], torch.Tensor]) -> Iterator[None]:
    """Multiply the output of each head by its gate ξ within the block (Michel et al. 2019, equation 2).

    Args:
        gates: by block and layer, for all heads that the attention has, (h,) or one row for every utterance of the
            batch (B, h). Attention whose gates are all zero adds nothing, not even the bias of its output.
    """
    found = attentions(model)
    with ExitStack() as hooks:
        for key, gate in gates.items():
            attention = found[key].module

            def scale(module, arguments, gate=gate, attention=attention):
                hidden = arguments[0]  # (B, …, Σ widths)
                widths = torch.tensor(_widths(attention)[1], device=gate.device)
                return (hidden * by_utterance(gate.repeat_interleave(widths, dim=-1), hidden),)

            hooks.callback(attention.linear_out.register_forward_pre_hook(scale).remove)
            if not gate.any():
                drop = attention.register_forward_hook(lambda _, __, output: _nothing(output))
                hooks.callback(drop.remove)
        yield


def _widths(attention: Any) -> tuple[list[int], list[int]]:
    """The widths of each head's queries and keys, and of its values."""
    same = [attention.d_k] * attention.h
    return getattr(attention, "qk", same), getattr(attention, "vo", same)


def _nothing(output: Any) -> Any:
    """Zeros in the place of what attention answers; of Whisper's, also how it attended."""
    return (torch.zeros_like(output[0]), *output[1:]) if isinstance(output, tuple) else torch.zeros_like(output)


@contextmanager
def masked(model: torch.nn.Module, removed: Iterable[Head]) -> Iterator[None]:
    """Within the block the model computes what it would without these heads, at its full cost.

    Raises SecateurError for a head that the model does not have.
    """
    found = attentions(model)
    gates = {}
    for key, numbers in _by_attention(model, removed).items():
        kept = [float(number not in numbers) for number in found[key].heads]
        gates[key] = torch.tensor(kept, device=next(model.parameters()).device)
    with gated(model, gates):
        yield


def made_up_batch(model: torch.nn.Module, lengths: Iterable[int] = (211, 97), seed: int = 0) -> dict[str, torch.Tensor]:
    """Random utterances of so many frames, as loud as real ones, and random texts."""
    generator, device = torch.Generator().manual_seed(seed), next(model.parameters()).device
    lengths = torch.tensor(list(lengths))
    tokens = torch.arange(1, len(model.token_list) - 1)  # neither blank nor the end
    text = tokens[torch.randint(len(tokens), (len(lengths), 5), generator=generator)]
    tensors = {
        "speech": model.frontend.made_up(lengths.tolist(), generator),
        "speech_lengths": lengths,
        "text": text,
        "text_lengths": torch.full((len(lengths),), text.shape[1]),
    }
    return {name: tensor.to(device) for name, tensor in tensors.items()}


@torch.no_grad()
def check_compaction(
    whole: torch.nn.Module,
    removed: Iterable[Any],
    compacted: torch.nn.Module,
    tensors: Mapping[str, torch.Tensor],
    tolerance: float = 1e-4,
    masking: Callable[[torch.nn.Module, Iterable[Any]], AbstractContextManager[None]] = masked,
) -> float:
    """Check that `compacted` computes what `whole` does with the heads, or other parts, `removed` masked, on one batch.

    Compared are the encoder's output, the attention decoder's for the given text, and the loss.

    Args:
        tensors: the models' arguments (`secateur.speech.data.Batch`).
        tolerance: the largest difference allowed, as a share of the largest value.
        masking: what masks such parts within a block.

    Returns the largest difference, likewise. Raises SecateurError when it is above `tolerance`, or not a number.
    """
    with masking(whole, removed):
        expected = _outputs(whole, tensors)
    worst = 0.0
    for name, output in _outputs(compacted, tensors).items():
        difference = float((output - expected[name]).abs().max() / expected[name].abs().max().clamp(min=1e-12))
        if not difference <= tolerance:
            raise SecateurError(
                f"the {name} of the compacted model is off the masked one's by {difference:.2e} of the largest value, "
                f"more than {tolerance:.0e}: they were not removed exactly; please report this"
            )
        worst = max(worst, difference)
    return worst


def _outputs(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    encoder_out, lengths = model.encode(tensors["speech"], tensors["speech_lengths"])
    if isinstance(encoder_out, tuple):  # with the outputs of intermediate layers
        encoder_out = encoder_out[0]
    valid = torch.arange(encoder_out.shape[1], device=lengths.device) < lengths[:, None]
    outputs = {"encoder output": encoder_out[valid], "loss": model(**tensors)[0]}
    if hasattr(model, types.GENERATE):
        outputs["decoder output"] = model.logits(encoder_out, tensors["text"])
    elif getattr(model, "decoder", None) is not None and not getattr(model, "use_transducer_decoder", False):
        text = tensors["text"].clamp(min=0)
        outputs["decoder output"] = model.decoder(encoder_out, lengths, text, tensors["text_lengths"])[0]
        written = torch.arange(text.shape[1], device=text.device) < tensors["text_lengths"][:, None]
        outputs["decoder output"] = outputs["decoder output"][written]
    return outputs


def _by_attention(model: torch.nn.Module, removed: Iterable[Head]) -> dict[tuple[str, int], set[int]]:
    found, numbers = attentions(model), {}
    for head in removed:
        if head.attention not in found or head.head not in found[head.attention].heads:
            raise SecateurError(f"the model has no head {head}; it may be gone already")
        numbers.setdefault(head.attention, set()).add(head.head)
    return numbers


def _keep(attention: Attention, numbers: list[int]) -> None:
    """Keep only the heads with these numbers."""
    if not numbers:  # a norm that follows the block stays: the residual path goes through it
        nothing = getattr(attention.module, "nothing", NoBranch if hasattr(attention.layer, "merge_proj") else None)
        before = getattr(attention.layer, "normalize_before", True)
        remove_block(attention.layer, attention.name, attention.norm if before else None)
        if nothing is not None:
            setattr(attention.layer, attention.name, nothing())
        return
    module: Any = attention.module
    positions = torch.tensor([attention.heads.index(number) for number in numbers])
    widths = _widths(module)
    queries, values = (_rows(each, positions) for each in widths)
    for linear, rows in ((module.linear_q, queries), (module.linear_k, queries), (module.linear_v, values)):
        keep_outputs(linear, rows, or_none=True)
    keep_inputs(module.linear_out, values, or_none=True)
    if hasattr(module, "linear_pos"):  # relative positions of the Conformer (Dai et al. 2019)
        keep_outputs(module.linear_pos, queries)
    for name in ("pos_bias_u", "pos_bias_v", "distance_bias"):
        if getattr(module, name, None) is not None:
            keep_slices(module, name, positions, 0)
    if hasattr(module, "set_heads"):  # an upstream encoder's, which counts from 0
        if module.gated:
            keep_slices(module, "gru_rel_pos_const", positions, 1)
        module.set_heads([n - 1 for n in numbers], *([each[place] for place in positions] for each in widths))
    else:
        module.h, module.head_numbers = len(numbers), numbers


def _rows(widths: list[int], positions: torch.Tensor) -> torch.Tensor:
    """The rows that the heads at these positions have, of all heads' with these widths."""
    owner = torch.arange(len(widths)).repeat_interleave(torch.tensor(widths))
    return torch.nonzero(torch.isin(owner, positions))[:, 0]
