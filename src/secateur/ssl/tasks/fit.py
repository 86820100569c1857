"""Training a head on hidden states through `secateur.training.loop`, so that a killed run resumes and ends the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from secateur.speech.data import Batch, BatchPlan, pad
from secateur.ssl.tasks import Item
from secateur.ssl.tasks.hidden import Hidden
from secateur.training.loop import train
from secateur.training.options import TrainingOptions

Encode = Callable[[Item, int], Mapping[str, torch.Tensor]]
HUNDREDTHS = 100  # of a second: the unit of a clip's length in a batch plan
DEV_CLIPS = 32


class Examples:
    """Items as batches of a head's arguments.

    Args:
        encode: an item's target as tensors, given its number of frames (0 when pooled). They are padded with 0, and
            what is called `text` comes with `text_lengths`.
        pooled: whether the head takes means over time.
    """

    def __init__(self, hidden: Hidden, items: Sequence[Item], encode: Encode, pooled: bool):
        self.items = {item.id: item for item in items}
        self.hidden, self.encode, self.pooled = hidden, encode, pooled
        # A pooled clip costs the same however long it is.
        self.lengths = {item.id: 1 if pooled else max(1, round(item.clip.seconds * HUNDREDTHS)) for item in items}

    def load(self, keys: Sequence[str]) -> Batch:
        """`hidden` (B, L, D) when pooled, else (B, L, T, D) and `lengths` (B,); and the targets."""
        items = [self.items[key] for key in keys]
        clips = [item.clip for item in items]
        if self.pooled:
            tensors, frames = {"hidden": self.hidden.means(clips)}, [0] * len(items)
        else:
            tensors = dict(zip(("hidden", "lengths"), stack(self.hidden.frames(clips)), strict=True))
            frames = tensors["lengths"].tolist()
        targets = [self.encode(item, count) for item, count in zip(items, frames, strict=True)]
        for name in targets[0]:
            values = [target[name] for target in targets]
            tensors[name] = pad(values, 0)
            if name == "text":
                tensors["text_lengths"] = torch.tensor([len(value) for value in values])
        return Batch(list(keys), [""] * len(keys), tensors)

    def batches(self, size: int = DEV_CLIPS) -> list[list[str]]:
        """All items once, in batches of similar length."""
        names = sorted(self.lengths, key=lambda name: (self.lengths[name], name))
        return [names[start : start + size] for start in range(0, len(names), size)]


def stack(states: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states (L, T_i, D) of some clips → (B, L, T, D) float32, padded with 0, and lengths (B,)."""
    lengths = torch.tensor([state.shape[1] for state in states])
    layers, _, width = states[0].shape
    stacked = torch.zeros(len(states), layers, int(lengths.max()), width)
    for row, state in zip(stacked, states, strict=True):
        row[:, : state.shape[1]] = state
    return stacked, lengths


@dataclass(frozen=True)
class Fit:
    """How the heads of a run are trained.

    Attributes:
        seed: of every random choice.
        device: where to train.
        state: folder in which heads that are being trained save themselves, one folder each.
        identity: what tells this run's heads from others.
    """

    seed: int
    device: torch.device
    state: Path
    identity: str

    def __call__(
        self,
        name: str,
        make: Callable[[], torch.nn.Module],
        train_examples: Examples,
        dev_examples: Examples,
        training: Mapping[str, Any],
    ) -> torch.nn.Module:
        """Make and train the head `name`, in evaluation mode on `device`.

        `training` has attributes of `TrainingOptions`, and `batch`: most clips in a batch of a head that pools,
        else most seconds of audio, padding included.
        """
        torch.manual_seed(self.seed)
        head = make()
        budget = round(training["batch"] * (1 if train_examples.pooled else HUNDREDTHS))
        plan = BatchPlan(train_examples.lengths, budget, self.seed)
        dev = (dev_examples, dev_examples.batches())
        options = TrainingOptions(**{key: value for key, value in training.items() if key != "batch"})
        train(
            head, train_examples, plan.step, dev, options, self.seed, self.device, self.state / name,
            f"{self.identity} {name}",
        )  # fmt: skip
        return head
