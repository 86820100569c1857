"""A trained language model without some of its layers and heads, or with a mask on its weights.

Layers go greedily, the one whose removal costs least on the dev text first; heads by importance, as those of acoustic
models do (`secateur.heads.importance`), for the loss of the whole text; weights by magnitude, of all matrices of the
Transformer layers together. Layers and heads are removed physically, and what is left computes what the masked model
does, which is checked.
"""

import copy
from collections.abc import Callable, Iterator, Sequence

import torch

from secateur.core.errors import SecateurError
from secateur.heads.importance import gradients
from secateur.heads.order import removal_order, removed_at
from secateur.models.surgery.heads import Head, heads, masked, remove_heads
from secateur.models.surgery.layers import keep_layers, layer_numbers
from secateur.speech.data import Batch

TOLERANCE = 1e-4


def without_layers(model: torch.nn.Module, keep: int, loss: Callable[[torch.nn.Module], float]) -> list[int]:
    """The layers that stay when all but `keep` of a language model have gone, one by one; the model is left as it is.

    Args:
        loss: of a model on dev text, lower is better.

    Raises SecateurError for more layers than there are, and none.
    """
    left = layer_numbers(model)
    if not 1 <= keep <= len(left):
        raise SecateurError(f"--layers: {keep}; the language model has {len(left)} layers, keep 1 to {len(left)}")
    while len(left) > keep:
        candidates = [[other for other in left if other != number] for number in left]
        left = min(candidates, key=lambda kept: loss(_copied(model, kept)))
    return left


def without_heads(model: torch.nn.Module, share: float, batches: Sequence[Batch]) -> list[Head]:
    """Remove the share of the heads of a language model with the least importance, in place, and return them.

    Raises SecateurError when what is left computes something else than the masked model.
    """
    removed = removed_at(removal_order("global", gradients(model, batches)), share)
    tensors = {name: tensor.to(next(model.parameters()).device) for name, tensor in batches[0].tensors.items()}
    with torch.no_grad():
        with masked(model, removed):
            expected = scores(model, tensors)
        remove_heads(model, removed)
        difference = float((scores(model, tensors) - expected).abs().max() / expected.abs().max())
    if not difference <= TOLERANCE:
        raise SecateurError(
            f"the smaller language model's scores are off the masked one's by {difference:.2e} of the largest, more "
            f"than {TOLERANCE:.0e}: its heads were not removed exactly; please report this"
        )
    return removed


def scores(model: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """The scores of the next token, before the softmax, after every token of some texts (B, L, V)."""
    text = tensors["text"].clamp(min=0)
    return model.lm(text, None)[0]


def matrices(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights of the Transformer layers that a mask may remove, by name."""
    return dict(_matrices(model))


def _matrices(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for name, module in model.named_modules():
        if name.startswith("lm.encoder.encoders.") and isinstance(module, torch.nn.Linear):
            yield f"{name}.weight", module.weight.detach()


def _copied(model: torch.nn.Module, kept: list[int]) -> torch.nn.Module:
    return keep_layers(copy.deepcopy(model), kept)


def heads_left(model: torch.nn.Module) -> int:
    """How many heads a language model has."""
    return len(heads(model))
