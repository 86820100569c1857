"""Tasks that write down what is said, as a sequence of symbols: their training by CTC, and error rates."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch

from secateur.errors import SecateurError
from secateur.superb import Data, Item, Task
from secateur.superb.fit import Examples, Fit
from secateur.superb.heads import FrameCTC
from secateur.superb.hidden import Hidden

BLANK, UNKNOWN = 0, 1
RESERVED = 2
Symbols = tuple[str, ...]


def transcribe(
    task: Task,
    data: Data,
    hidden: Hidden,
    fit: Fit,
    head: type[FrameCTC],
    options: Mapping[str, Any],
    symbols: Callable[[Item], Symbols],
) -> tuple[dict[str, Symbols], FrameCTC]:
    """Train `head` and write down the test clips: symbols by id, and the trained head.

    The symbols to choose among are those of the training set; one that only dev or test have is `<unk>`, and wrong.
    Raises SecateurError naming a training clip with more symbols than frames, which CTC cannot align.
    """
    hidden.prepare(item.clip for split in data.items.values() for item in split)
    inventory = sorted({symbol for item in data.items["train"] for symbol in symbols(item)})
    ids = {symbol: index for index, symbol in enumerate(inventory, RESERVED)}

    def encode(item: Item, frames: int) -> dict[str, torch.Tensor]:
        text = [ids.get(symbol, UNKNOWN) for symbol in symbols(item)]
        if frames < len(text) + _repeated(text):
            raise SecateurError(
                f"{task.name}: {item.id} has {len(text)} symbols and {frames} frames; exclude it, or raise superb.rate"
            )
        return {"text": torch.tensor(text)}

    examples = [Examples(hidden, data.items[split], encode, pooled=False) for split in ("train", "dev")]
    layers, width = hidden.shape(data.items["train"][0].clip)
    make = partial(head, layers, width, RESERVED + len(inventory), options)
    trained = fit(task.name, make, *examples, options["training"])
    names = ["", "<unk>", *inventory]
    test = Examples(hidden, data.items["test"], lambda item, frames: {}, pooled=False)
    written: dict[str, Symbols] = {}
    for keys in test.batches():
        tensors = test.load(keys).tensors
        for key, found in zip(
            keys, trained.predict(tensors["hidden"].to(fit.device), tensors["lengths"].to(fit.device)), strict=True
        ):
            written[key] = tuple(names[index] for index in found)
    return written, trained


def _repeated(text: Sequence[int]) -> int:
    """Neighbours that are the same: CTC needs a blank between them."""
    return sum(left == right for left, right in pairwise(text))
