"""Waveforms for training encoders: crops of equal length, read from data directories, and their targets if they have.

What a crop is stands in its key, `{utterance}@{start}+{samples}`: a step's batch is a pure function of the seed and the
step, like all batches (`secateur.speech.data.BatchPlan`).
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from secateur.core.errors import SecateurError
from secateur.speech import audio
from secateur.speech.data import IGNORED, Batch, BatchPlan, pad
from secateur.speech.datadir import read_data_dir
from secateur.speech.features import SAMPLE_RATE

CACHED_BYTES = 2 * 10**9
"""Decoded audio that is kept in memory: about 17 hours."""


class WaveExamples:
    """Utterances of data directories; those that fit into `cached_bytes` are decoded once.

    Args:
        folders: data directories; segments are read as such.
        hop: samples from one target to the next.
        targets: targets of every utterance, one per frame, or None.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        hop: int = 1,
        targets: Mapping[str, np.ndarray] | None = None,
        cached_bytes: int = CACHED_BYTES,
    ):
        self.hop, self.targets = hop, targets
        self.utterances = {}
        for folder in folders:
            for utterance in read_data_dir(folder):
                if utterance.id in self.utterances:
                    raise SecateurError(f"{folder}: utterance {utterance.id!r} is already in another data directory")
                if targets is not None and utterance.id not in targets:
                    raise SecateurError(f"{folder}: {utterance.id!r} has no targets; make the targets again")
                self.utterances[utterance.id] = utterance
        self.lengths = {name: round(found.duration * SAMPLE_RATE) for name, found in self.utterances.items()}
        self._left, self._cache = cached_bytes, {}

    def load(self, keys: Sequence[str]) -> Batch:
        """The batch of `keys`, crops or whole utterances: `waveforms` (B, S), `lengths` (B,), `targets` (B, T).

        Crops are cut to the shortest of them, in case that a recording is some samples shorter than `utt2dur` says.
        """
        names, starts, sizes = zip(*(_parse(key) for key in keys), strict=True)
        waves = [self.read(name)[start:] for name, start in zip(names, starts, strict=True)]
        if None not in sizes:
            size = min(*sizes, *map(len, waves)) if len(keys) > 1 else min(sizes[0], len(waves[0]))
            waves = [wave[:size] for wave in waves]
        tensors = {
            "waveforms": pad([torch.from_numpy(wave) for wave in waves], 0.0),
            "lengths": torch.tensor([len(wave) for wave in waves]),
        }
        if self.targets is not None:
            targets = []
            for name, start, wave in zip(names, starts, waves, strict=True):
                first = start // self.hop
                found = np.asarray(self.targets[name])[first : first + len(wave) // self.hop + 1]
                targets.append(torch.from_numpy(found.astype(np.int64)))
            tensors["targets"] = pad(targets, IGNORED)
        return Batch(list(keys), [self.utterances[name].language for name in names], tensors)

    def read(self, name: str) -> np.ndarray:
        """Samples (N,), float32 at 16 kHz, of an utterance."""
        found = self._cache.get(name)
        if found is None:
            utterance = self.utterances[name]
            found = audio.read(utterance.audio, utterance.start, utterance.end, SAMPLE_RATE, utterance.channel)
            coded = np.round(found * 32768).clip(-32768, 32767).astype(np.int16)
            kept = coded if np.array_equal(coded / np.float32(32768), found) else found  # 16 bits if that is exact
            if kept.nbytes <= self._left:
                self._left -= kept.nbytes
                self._cache[name] = kept
        return found if found.dtype == np.float32 else found / np.float32(32768)


class Crops:
    """Batches of random crops, all of a batch of the same length.

    Args:
        lengths: samples of every utterance.
        crop: most samples of a crop; shorter utterances are together with others of about their length.
        budget: most samples of a batch.
        seed: decides batches and crops.
        hop: crops start at multiples of it.
    """

    def __init__(self, lengths: Mapping[str, int], crop: int, budget: int, seed: int, hop: int):
        self.lengths, self.seed, self.hop = dict(lengths), seed, hop
        self.clipped = {name: min(length, crop) for name, length in lengths.items()}
        self.plan = BatchPlan(self.clipped, budget, seed)

    def step(self, number: int) -> list[str]:
        """Keys of the batch of a step, counted from 0."""
        rng = random.Random(f"{self.seed} crops {number}")
        names = self.plan.step(number)
        size = min(self.clipped[name] for name in names)
        starts = [rng.randint(0, (self.lengths[name] - size) // self.hop) * self.hop for name in names]
        return [f"{name}@{start}+{size}" for name, start in zip(names, starts, strict=True)]

    def epoch(self) -> list[list[str]]:
        """The batches of the first epoch, for dev data."""
        return [self.step(number) for number in range(len(self.plan.epoch(0)))]


def _parse(key: str) -> tuple[str, int, int | None]:
    """Utterance, first sample and number of samples; None for all."""
    name, crop, place = key.rpartition("@")
    start, plus, size = place.partition("+")
    if crop and plus and start.isdigit() and size.isdigit():
        return name, int(start), int(size)
    return key, 0, None
