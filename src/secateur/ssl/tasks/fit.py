"""Training a head on hidden states through `secateur.training.loop`, so that a killed run resumes and ends the same."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from secateur.speech.data import Batch, BatchPlan, pad
from secateur.ssl.options import HeadTraining
from secateur.ssl.tasks import Item
from secateur.ssl.tasks.clips import Clip, cropped
from secateur.ssl.tasks.hidden import Hidden
from secateur.training.loop import train

Encode = Callable[[Item, int], Mapping[str, torch.Tensor]]
HUNDREDTHS = 100  # of a second: the unit of a clip's length in a batch plan
DEV_CLIPS = 32
AT = "\t"
"""Parts an item's id from the use that a crop is drawn for."""


class Examples:
    """Items as batches of a head's arguments.

    Args:
        encode: an item's target as tensors, given its number of frames (0 when pooled). They are padded with 0, and
            what is called `text` comes with `text_lengths`.
        pooled: whether the head takes means over time.
        crop: seconds of a piece, drawn anew at every use, that is heard of a longer clip; None: all of it.
        balanced: the class of every item by id: each item of a batch is drawn from a class that is drawn first, all
            classes alike. None: every item once an epoch.
    """

    def __init__(
        self,
        hidden: Hidden,
        items: Sequence[Item],
        encode: Encode,
        pooled: bool,
        crop: float | None = None,
        balanced: Mapping[str, str] | None = None,
    ):
        self.items = {item.id: item for item in items}
        self.hidden, self.encode, self.pooled = hidden, encode, pooled
        self.crop, self.balanced = crop, balanced
        # A pooled clip costs the same however long it is.
        self.lengths = {item.id: 1 if pooled else max(1, round(item.clip.seconds * HUNDREDTHS)) for item in items}

    def load(self, keys: Sequence[str]) -> Batch:
        """`hidden` (B, L, D) when pooled, else (B, L, T, D) and `lengths` (B,); and the targets."""
        items = [self.items[key.partition(AT)[0]] for key in keys]
        states = self._states([item.clip for item in items], keys)
        if self.pooled:
            tensors, frames = {"hidden": torch.stack(states)}, [0] * len(items)
        else:
            tensors = dict(zip(("hidden", "lengths"), stack(states), strict=True))
            frames = tensors["lengths"].tolist()
        targets = [self.encode(item, count) for item, count in zip(items, frames, strict=True)]
        for name in targets[0]:
            values = [target[name] for target in targets]
            tensors[name] = pad(values, 0)
            if name == "text":
                tensors["text_lengths"] = torch.tensor([len(value) for value in values])
        return Batch(list(keys), [""] * len(keys), tensors)

    def _states(self, clips: Sequence[Clip], keys: Sequence[str]) -> list[torch.Tensor]:
        """The hidden states of clips, or their means; of a clip that is cropped, those of what its key draws."""
        if self.crop is None:
            return list(self.hidden.means(clips)) if self.pooled else self.hidden.frames(clips)
        pieces = [cropped(clip, self.crop, random.Random(key)) for clip, key in zip(clips, keys, strict=True)]
        whole = list({piece.id: piece for piece in pieces if piece in clips}.values())
        drawn = list({piece.id: piece for piece in pieces if piece not in clips}.values())
        found = dict(zip((piece.id for piece in drawn), self.hidden.passing(drawn, not self.pooled), strict=True))
        if whole:
            states = list(self.hidden.means(whole)) if self.pooled else self.hidden.frames(whole)
            found |= dict(zip((clip.id for clip in whole), states, strict=True))
        return [found[piece.id] for piece in pieces]

    def plan(self, seed: int, budget: int, most: int | None) -> Callable[[int], list[str]]:
        """The keys of the batch of every step, counted from 0: for `load`."""
        if self.balanced is not None:
            step = Balanced(self.balanced, most or budget, seed).step
        else:
            step = BatchPlan(self.lengths, budget, seed, most=most).step
        if self.crop is None:
            return step
        return lambda number: [f"{key}{AT}{number}.{place}" for place, key in enumerate(step(number))]

    def batches(self, size: int = DEV_CLIPS) -> list[list[str]]:
        """All items once, in batches of similar length; balanced ones, as many as there are, drawn once."""
        names = sorted(self.lengths, key=lambda name: (self.lengths[name], name))
        if self.balanced is not None:
            names = Balanced(self.balanced, len(names), 0).step(0)
        if self.crop is not None:
            names = [f"{name}{AT}{place}" for place, name in enumerate(names)]
        return [names[start : start + size] for start in range(0, len(names), size)]


class Balanced:
    """Batches of items whose classes are drawn alike, each item from those of its class, with replacement.

    As torch's `WeightedRandomSampler` draws them with the inverse sizes of classes for weights.
    """

    def __init__(self, classes: Mapping[str, str], size: int, seed: int):
        self.members: dict[str, list[str]] = {}
        for name in sorted(classes):
            self.members.setdefault(classes[name], []).append(name)
        self.size, self.seed = size, seed

    def step(self, number: int) -> list[str]:
        """The items of a step, counted from 0."""
        draw = random.Random(f"{self.seed} balanced {number}")
        names = sorted(self.members)
        return [draw.choice(self.members[draw.choice(names)]) for _ in range(self.size)]


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
        resampling: seed of the intervals: the same for all heads and upstreams, so that they are of the same draws.
        device: where to train.
        state: folder in which heads that are being trained save themselves, one folder each.
        identity: what tells this run's heads from others.
    """

    seed: int
    device: torch.device
    state: Path
    identity: str
    resampling: int = 0

    def again(self, number: int) -> "Fit":
        """For heads of another seed, numbered from 0, the first as they are."""
        if not number:
            return self
        return replace(
            self,
            seed=self.seed + number * 7919,
            state=self.state / f"heads{number}",
            identity=f"{self.identity} {number}",
        )

    def __call__(
        self,
        name: str,
        make: Callable[[], torch.nn.Module],
        train_examples: Examples,
        dev_examples: Examples,
        training: HeadTraining,
    ) -> torch.nn.Module:
        """Make and train one head, called `name`; it is in evaluation mode on `device`."""
        torch.manual_seed(self.seed)
        head = make()
        head.measured = training.select == "metric"
        budget = round(training.batch * (1 if train_examples.pooled else HUNDREDTHS))
        if training.clips is not None:
            budget = training.clips * max(train_examples.lengths.values())
        plan = train_examples.plan(self.seed, budget, training.clips)
        dev = (dev_examples, dev_examples.batches())
        train(
            head, train_examples, plan, dev, training.options, self.seed, self.device, self.state / name,
            f"{self.identity} {name}",
        )  # fmt: skip
        return head
