"""The outputs of an encoder's layers, by the number of the layer."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.layers.similarity import Covariances
from secateur.models.surgery.layers import layer_numbers, stacks
from secateur.speech.data import Batch

Outputs = Callable[[torch.Tensor, torch.Tensor], tuple[dict[int, torch.Tensor], torch.Tensor]]


@contextmanager
def layer_outputs(model: torch.nn.Module) -> Iterator[Outputs]:
    """Within the block, `outputs(speech (B, T, F), lengths (B,))` encodes a batch and returns its hidden states:
    {layer: (B, T', D)} in order of the layers, and the lengths (B,) after subsampling.

    Layer 0 is the input of the first layer, layer l the output of layer l, before the norm that follows the last one.
    Layers that were removed or are not run are missing, and the others keep their numbers. In the block the model is in
    evaluation mode, so nothing is dropped or scaled; after it, each part is back in its own mode. The encoder may be
    any of `secateur.models`; of an Emformer the look-ahead copies of frames are left out.

    Raises SecateurError if the model has no stack of encoder layers.
    """
    numbers, encoder = layer_numbers(model), model.encoder
    hidden: dict[int, torch.Tensor] = {}

    def note(layer: int, value: Any) -> None:
        if isinstance(value, tuple):  # a Conformer's frames come with their positions
            value = value[0]
        if value.dim() == 4:  # an Emformer's segments (B, N, S + R, D)
            value = value[:, :, : encoder.segment].flatten(1, 2)
        hidden[layer] = value

    def note_input(_: torch.nn.Module, arguments: tuple) -> None:
        if 0 not in hidden:
            note(0, arguments[0])

    def output_hook(layer: int) -> Callable[[torch.nn.Module, tuple, tuple], None]:
        return lambda _, __, output: note(layer, output[0] if isinstance(output, tuple) else output)

    @torch.no_grad()
    def outputs(speech: torch.Tensor, lengths: torch.Tensor) -> tuple[dict[int, torch.Tensor], torch.Tensor]:
        hidden.clear()
        _, lengths = model.encode(speech, lengths)
        return {layer: hidden[layer][:, : lengths.max()] for layer in sorted(hidden)}, lengths

    modes = [(module, module.training) for module in model.modules()]
    with ExitStack() as hooks:
        for number, layer in zip(numbers, stacks(model)[0], strict=False):  # in Whisper, the encoder's come first
            hooks.enter_context(layer.register_forward_pre_hook(note_input))
            hooks.enter_context(layer.register_forward_hook(output_hook(number)))
        model.eval()
        try:
            yield outputs
        finally:
            for module, training in modes:
                module.training = training
            hidden.clear()


def covariances(
    models: Mapping[str, torch.nn.Module], batches: Iterable[Batch], device: torch.device
) -> tuple[list[tuple[str, int]], Covariances]:
    """The covariances of all layers of all models on `device`, and which layer each is: (name of the model, layer).

    Raises SecateurError naming an utterance of which two models make different numbers of frames.
    """
    total, layers = Covariances(), []
    with ExitStack() as stack:
        readers = {name: stack.enter_context(layer_outputs(model)) for name, model in models.items()}
        for batch in batches:
            speech = batch.tensors["speech"].to(device)
            frames = batch.tensors["speech_lengths"].to(device)
            results = {name: read(speech, frames) for name, read in readers.items()}
            lengths = {name: lengths.tolist() for name, (_, lengths) in results.items()}
            _check_same(lengths, batch.utterances)
            layers = [(name, layer) for name, (hidden, _) in results.items() for layer in hidden]
            states = [state for hidden, _ in results.values() for state in hidden.values()]
            total.add(states, torch.tensor(next(iter(lengths.values()))))
    return layers, total


def _check_same(lengths: Mapping[str, list[int]], utterances: list[str]) -> None:
    (first, wanted), *others = lengths.items()
    for name, found in others:
        for utterance, here, there in zip(utterances, wanted, found, strict=True):
            if here != there:
                raise SecateurError(
                    f"utterance {utterance!r} has {here} frames in {first} and {there} in {name}; compare models with "
                    "the same frame rate: the same `input` and `stack`"
                )
