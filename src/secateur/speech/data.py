"""Batches for training and decoding: which utterances at which step, and their tensors.

A `BatchPlan` answers "which utterances make up step n" as a pure function of its seed and n. That is what makes a
resumed run equal an uninterrupted one, and what lets ranks of a distributed job agree without talking.
"""

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from secateur.core.errors import SecateurError
from secateur.speech.datadir import read_table, speed_prefix
from secateur.speech.features import Archive
from secateur.speech.tokens import Tokenizer

IGNORED = -1


@dataclass(frozen=True)
class Batch:
    """Tensors for one call of a model, and the utterances that they came from.

    `tensors` holds the model's keyword arguments, e.g. `speech` (B, T, F), `speech_lengths` (B,), `text` (B, U),
    `text_lengths` (B,).
    """

    utterances: list[str]
    languages: list[str]
    tensors: dict[str, torch.Tensor]


class BatchPlan:
    """Length-bucketed batches, reshuffled every epoch.

    Args:
        lengths: length of every utterance, in the unit of `budget`.
        budget: most that a batch may hold, padding included; a longer utterance gets a batch of its own.
        seed: decides the order.
        groups: group of every utterance; a batch never mixes groups (e.g. languages). None: one group.
        variants: prefixes of the copies of every utterance (speeds); each epoch draws one per utterance.
        most: utterances in a batch, at most; None: as many as the budget holds.
    """

    def __init__(
        self,
        lengths: Mapping[str, int],
        budget: int,
        seed: int,
        groups: Mapping[str, str] | None = None,
        variants: Sequence[str] = ("",),
        most: int | None = None,
    ):
        if not lengths:
            raise SecateurError("there are no utterances to make batches of; check the data directories")
        self.lengths, self.budget, self.seed = dict(lengths), budget, seed
        self.groups, self.variants, self.most = groups, list(variants), most
        self._starts = [0]
        self._epoch: tuple[int, list[list[str]]] = (-1, [])

    def epoch(self, number: int) -> list[list[str]]:
        """The batches of an epoch, in order."""
        if self._epoch[0] != number:
            self._epoch = (number, self._make(random.Random(f"{self.seed} {number}")))
        return self._epoch[1]

    def step(self, number: int) -> list[str]:
        """Keys (variant prefix + utterance) of the batch of a step, counted from 0 over all epochs."""
        while self._starts[-1] <= number:
            self._starts.append(self._starts[-1] + len(self.epoch(len(self._starts) - 1)))
        epoch = next(index for index in range(len(self._starts) - 1, -1, -1) if self._starts[index] <= number)
        return self.epoch(epoch)[number - self._starts[epoch]]

    def _make(self, rng: random.Random) -> list[list[str]]:
        names = sorted(self.lengths)
        rng.shuffle(names)
        # Jitter lets neighbours in length change from epoch to epoch; padding stays within about a tenth.
        names.sort(key=lambda name: (self._group(name), self.lengths[name] * rng.uniform(0.9, 1.1)))
        batches: list[list[str]] = []
        longest = 0
        for name in names:
            longest = max(longest, self.lengths[name])
            starts_group = batches and self._group(batches[-1][0]) != self._group(name)
            full = batches and len(batches[-1]) == self.most
            if not batches or starts_group or full or longest * (len(batches[-1]) + 1) > self.budget:
                batches.append([])
                longest = self.lengths[name]
            batches[-1].append(name)
        batches = [[rng.choice(self.variants) + name for name in batch] for batch in batches]
        rng.shuffle(batches)
        return batches

    def _group(self, name: str) -> str:
        return self.groups[name] if self.groups else ""


class SpeechExamples:
    """Features and token ids of utterances, read from disk when asked for.

    Args:
        folders: pairs of a features folder and its data directory.
        tokenizer: makes the targets.
        speeds: speeds of which the features folders hold copies.
    """

    def __init__(
        self, folders: Sequence[tuple[Path, Path]], tokenizer: Tokenizer, speeds: Sequence[float] = (1.0,)
    ) -> None:
        self.variants = [speed_prefix(speed) for speed in speeds]
        self.lengths: dict[str, int] = {}
        self.languages: dict[str, str] = {}
        # Token ids are made again in every batch: kept as tensors they would take most of the memory.
        self._tokenizer = tokenizer
        self._texts: dict[str, str] = {}
        self._features: dict[str, Archive] = {}
        for features, data in folders:
            frames, archive = read_table(features / "utt2num_frames"), Archive(features)
            languages = read_table(data / "utt2lang")
            for name, text in read_table(data / "text").items():
                if name in self.lengths:
                    raise SecateurError(f"{data}: utterance {name!r} is already in another data directory")
                if name not in frames or name not in archive:
                    raise SecateurError(f"{features}: no features of {name!r}; extract the features again")
                if name not in languages:
                    raise SecateurError(f"{data / 'utt2lang'}: {name!r} is missing; add a line for it")
                self.lengths[name] = int(frames[name])
                self.languages[name] = sys.intern(languages[name])
                self._texts[name], self._features[name] = text, archive

    def load(self, keys: Sequence[str]) -> Batch:
        """The batch of `keys` (variant prefix + utterance), in this order."""
        names = [self._name(key) for key in keys]
        speech = [self._features[name][key] for key, name in zip(keys, names, strict=True)]
        targets = [torch.tensor(self._tokenizer.encode(self._texts[name], self.languages[name])) for name in names]
        return Batch(
            utterances=list(keys),
            languages=[self.languages[name] for name in names],
            tensors={
                "speech": pad([torch.from_numpy(matrix) for matrix in speech], 0.0),
                "speech_lengths": torch.tensor([len(matrix) for matrix in speech]),
                "text": pad(targets, IGNORED),
                "text_lengths": torch.tensor([len(target) for target in targets]),
            },
        )

    def _name(self, key: str) -> str:
        for prefix in self.variants:
            if prefix and key.startswith(prefix) and key[len(prefix) :] in self.lengths:
                return key[len(prefix) :]
        return key


class TextExamples:
    """Sentences for a language model, by a made-up id; `lengths` counts tokens."""

    variants = ("",)

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer):
        self._targets = {f"{index:08d}": torch.tensor(tokenizer.encode(text)) for index, text in enumerate(texts)}
        self.lengths = {name: len(target) + 1 for name, target in self._targets.items()}
        self.languages = dict.fromkeys(self._targets, "")

    def load(self, keys: Sequence[str]) -> Batch:
        """The batch of `keys`, in this order: `text` (B, U) and `text_lengths` (B,)."""
        targets = [self._targets[key] for key in keys]
        return Batch(
            utterances=list(keys),
            languages=[""] * len(keys),
            tensors={"text": pad(targets, 0), "text_lengths": torch.tensor([len(target) for target in targets])},
        )


def pad(sequences: Sequence[torch.Tensor], value: float) -> torch.Tensor:
    """Stack sequences (T_i, …) to (B, max T_i, …), filled up with `value`."""
    return torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=value)
