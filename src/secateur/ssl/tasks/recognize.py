"""Tasks that write down what is said, as a sequence of symbols: their training by CTC, and error rates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.ssl.options import head_training
from secateur.ssl.tasks import Data, Item, Task
from secateur.ssl.tasks.fit import Examples, Fit
from secateur.ssl.tasks.heads import FrameCTC, best_path
from secateur.ssl.tasks.hidden import Hidden

UNKNOWN = 1
RESERVED = 2
"""Tokens before the symbols: blank and `<unk>`."""
Symbols = tuple[str, ...]


@dataclass(frozen=True)
class Transcription:
    """What a head heard in the clips of dev and test.

    Attributes:
        texts: symbols on the best path, by split and id.
        scores: log-probabilities (T, 2 + symbols) of blank, `<unk>` and each of `symbols`, by split and id.
        symbols: all that can be written down, sorted.
        head: the trained head.
    """

    texts: dict[str, dict[str, Symbols]]
    scores: dict[str, dict[str, torch.Tensor]]
    symbols: list[str]
    head: FrameCTC


def transcribe(
    task: Task,
    data: Data,
    hidden: Hidden,
    fit: Fit,
    head: type[FrameCTC],
    options: Mapping[str, Any],
    symbols: Callable[[Item], Symbols],
    judge: Callable[[Symbols, Symbols], tuple[float, int]],
) -> Transcription:
    """Train `head` and write down the clips of dev and test. `judge` counts the task's errors in what was heard of
    what was said: (errors, of how many).

    The symbols to choose among are those of the training set; one that only dev or test have is `<unk>`, and wrong.
    Raises SecateurError naming a training clip with more symbols than frames, which CTC cannot align.
    """
    inventory = sorted({symbol for item in data.items["train"] for symbol in symbols(item)})
    ids = {symbol: index for index, symbol in enumerate(inventory, RESERVED)}

    def encode(item: Item, frames: int) -> dict[str, torch.Tensor]:
        text = [ids.get(symbol, UNKNOWN) for symbol in symbols(item)]
        if -(-frames // options.get("stack", 1)) < len(text) + _repeated(text):
            raise SecateurError(
                f"{task.name}: {item.id} has {len(text)} symbols, too many for {frames} frames with stack "
                f"{options.get('stack', 1)}; exclude it, or lower `stack`"
            )
        return {"text": torch.tensor(text)}

    examples = [Examples(hidden, data.items[split], encode, pooled=False) for split in ("train", "dev")]
    layers, width = hidden.shape(data.items["train"][0].clip)
    names = ["", "<unk>", *inventory]

    def make() -> FrameCTC:
        made = head(layers, width, RESERVED + len(inventory), options)
        made.judge = lambda heard, said: judge(*(tuple(names[token] for token in tokens) for tokens in (heard, said)))
        return made

    trained = fit(task.name, make, *examples, head_training(options))
    scores = {split: _scores(trained, hidden, data.items[split], fit.device) for split in ("dev", "test")}
    texts = {
        split: {key: tuple(names[index] for index in best_path(each)) for key, each in found.items()}
        for split, found in scores.items()
    }
    return Transcription(texts, scores, inventory, trained)


def _scores(head: FrameCTC, hidden: Hidden, items: Sequence[Item], device: torch.device) -> dict[str, torch.Tensor]:
    """Log-probabilities (T, tokens) of clips, by id."""
    examples = Examples(hidden, items, lambda item, frames: {}, pooled=False)
    scores: dict[str, torch.Tensor] = {}
    for keys in examples.batches():
        tensors = examples.load(keys).tensors
        logits, lengths = head.scores(tensors["hidden"].to(device), tensors["lengths"].to(device))
        scores |= {key: each[:length].cpu() for key, each, length in zip(keys, logits, lengths.tolist(), strict=True)}
    return scores


def _repeated(text: Sequence[int]) -> int:
    """Neighbours that are the same: CTC needs a blank between them."""
    return sum(left == right for left, right in pairwise(text))
