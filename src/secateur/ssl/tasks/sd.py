"""Speaker diarization: who of two speaks when, also at once; diarization error rate without a collar.

On data directories: mixtures of two voices' prompts, made here: the first begins at 0, the second somewhere within it,
so they overlap, at levels up to `gain_db` apart. Prompts of a mixture are of its split; the voices (four in the default
corpus, in five languages) are the same in all splits, unlike in LibriMix, and mostly speak different languages. A voice
speaks where its own recording is within `RANGE_DB` of its loudest frame, gaps below `GAP` seconds closed: what the
reference says depends on that rule.

Official: Libri2Mix (Cosentino et al. 2020) as s3prl's `prepare_diarization.py` lays it out: `{train,dev,test}` with
`wav.scp`, `segments`, `utt2spk`, `reco2dur`.

Thresholds and the length of the median filter are those that are best on dev (SUPERB: on test).
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from secateur.core.errors import SecateurError
from secateur.speech.datadir import Utterance, parse_segment, read_table
from secateur.ssl.options import head_training
from secateur.ssl.tasks import SPLITS, Data, Item, Metric, Result, Task, prompts
from secateur.ssl.tasks.clips import RATE, Clip, heard, recording, whole
from secateur.ssl.tasks.fit import Examples, Fit
from secateur.ssl.tasks.heads import Diarization
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.metrics import diarization_errors, rate

SHOWN = {"order": 100}
SCHEMA = {
    "languages": {"$ref": "#/$defs/languages", "default": None},
    "mixtures": {
        "description": "Mixtures of two voices that are made.",
        "type": "object",
        "additionalProperties": False,
        "default": {},
        "properties": {
            "train": {"type": "integer", "minimum": 1, "default": 40, "description": "Mixtures to train the head on."},
            "dev": {
                "type": "integer",
                "minimum": 1,
                "default": 10,
                "description": "Mixtures to choose its checkpoint on.",
            },
            "test": {"type": "integer", "minimum": 1, "default": 25, "description": "Mixtures to score it on."},
        },
    },
    "min_seconds": {"type": "number", "minimum": 0, "default": 1.2, "description": "Shortest prompt in a mixture."},
    "max_seconds": {"$ref": "#/$defs/longest", "default": None},
    "gain_db": {
        "type": "number",
        "minimum": 0,
        "default": 2.5,
        "description": "Largest difference in level of the two.",
    },
    "seed": {"type": "integer", "minimum": 0, "default": 1, "description": "Decides which mixtures are made."},
    "hidden": {"type": "integer", "minimum": 1, "default": 128, "description": "Width of the LSTM."},
    "normalize": {"$ref": "#/$defs/normalize", "default": False},
    "training": {"$ref": "#/$defs/training", "default": {}},
}

TASK = Task("sd", "speaker diarization", (Metric("der", higher=False),))
SPEAKERS = 2
STEP = 0.01  # seconds between frames of the reference
WINDOW = 0.025
RANGE_DB = 35.0
GAP = 0.25
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
MEDIANS = (1, 11)


def from_directories(corpus: prompts.Corpus, options: Mapping[str, Any]) -> Data:
    """`options`: languages, mixtures: {train, dev, test}, min_seconds and max_seconds of a prompt, gain_db, seed."""
    chosen = prompts.of(corpus, options["languages"], TASK.name)
    items: dict[str, list[Item]] = {}
    voices: set[str] = set()
    for split in SPLITS:
        by_voice: dict[str, list[Utterance]] = defaultdict(list)
        for utterance in prompts.no_longer(prompts.joined(chosen, split), options["max_seconds"]):
            if options["min_seconds"] <= utterance.duration:
                by_voice[utterance.speaker].append(utterance)
        if len(by_voice) < SPEAKERS:
            raise SecateurError(
                f"sd: prompts of {options['min_seconds']} to {options['max_seconds'] or math.inf} s by "
                f"{len(by_voice)} voices in {split}, two are wanted; add languages or leave sd out of ssl[].tasks"
            )
        voices |= set(by_voice)
        spoken: dict[str, np.ndarray] = {}
        items[split] = []
        for number in range(options["mixtures"][split]):
            draw = Random(f"{options['seed']} sd {split} {number}")
            pair = [draw.choice(by_voice[voice]) for voice in draw.sample(sorted(by_voice), SPEAKERS)]
            for utterance in pair:
                if utterance.id not in spoken:
                    spoken[utterance.id] = active(whole(utterance).samples())
            late = round(draw.uniform(0, pair[0].duration), 2)
            gain = 10 ** (draw.uniform(-options["gain_db"], options["gain_db"]) / 20)
            items[split].append(mixture(f"mix-{split}-{number:05d}", pair, late, gain, spoken))
    return Data(
        items,
        notes=f"mixtures of two prompts by two of {len(voices)} voices ({', '.join(sorted(voices))}) known from "
        f"training, seed {options['seed']}; {prompts.counts(items)}",
        chance={"der": everyone(items["test"])},
    )


def mixture(name: str, pair: Sequence[Utterance], late: float, gain: float, spoken: Mapping[str, np.ndarray]) -> Item:
    """Two utterances, the second `late` seconds later and `gain` times as loud, and who of them speaks when."""
    first, second = pair
    parts = (heard(first), heard(second, late, gain))
    shift = round(late / STEP)
    activities = [spoken[first.id], np.pad(spoken[second.id], (shift, 0))]
    frames = max(map(len, activities))
    activity = np.stack([np.pad(each, (0, frames - len(each))) for each in activities], axis=1)
    return Item(Clip(name, parts, max(first.duration, late + second.duration)), activity)


def active(samples: np.ndarray) -> np.ndarray:
    """Whether someone speaks, every STEP seconds (T,): energy within RANGE_DB of the loudest, gaps below GAP closed."""
    step, window = round(STEP * RATE), round(WINDOW * RATE)
    padded = np.pad(samples.astype(np.float64), (0, window))
    sums = np.concatenate([[0.0], np.cumsum(padded**2)])
    starts = np.arange(0, len(samples), step)
    energy = (sums[starts + window] - sums[starts]) / window
    speech = 10 * np.log10(energy + 1e-12) > 10 * np.log10(energy.max() + 1e-12) - RANGE_DB
    edges = np.flatnonzero(speech)
    for left, right in pairwise(edges):
        if (right - left) * STEP < GAP:
            speech[left:right] = True
    return speech


def everyone(items: Sequence[Item]) -> float:
    """The error rate, in percent, of saying that both speak all the time: that needs no listening."""
    found = [diarization_errors(item.target, np.ones_like(item.target)) for item in items]
    return 100 * sum(errors for errors, _ in found) / sum(total for _, total in found)


def official(options: Mapping[str, Any]) -> Data:
    """`options`: root (the folder with `train`, `dev` and `test`), max_seconds (of training chunks)."""
    items = {}
    for split in SPLITS:
        folder = Path(options["root"]) / split
        items[split] = _mixtures(folder)
    items["train"] = [piece for item in items["train"] for piece in chunks(item, options["max_seconds"])]
    return Data(items, notes=f"Libri2Mix; {prompts.counts(items)}", chance={"der": everyone(items["test"])})


def _mixtures(folder: Path) -> list[Item]:
    if not (folder / "segments").exists():
        raise SecateurError(f"{folder}: no segments in it; make it with LibriMix's scripts/prepare_diarization.py")
    paths, speakers, durations = (read_table(folder / name) for name in ("wav.scp", "utt2spk", "reco2dur"))
    turns: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for key, value in read_table(folder / "segments").items():
        name, start, end, _ = parse_segment(folder, key, value)
        turns[name].append((speakers[key], start, end))
    items = []
    for name, path in sorted(paths.items()):
        clip = recording(path, float(durations[name]), name)
        voices = sorted({speaker for speaker, _, _ in turns[name]})
        if len(voices) != SPEAKERS:
            raise SecateurError(f"{folder / 'segments'}: {name!r} has {len(voices)} speakers, {SPEAKERS} are wanted")
        activity = np.zeros((round(clip.seconds / STEP), SPEAKERS), dtype=bool)
        for speaker, start, end in turns[name]:
            activity[round(start / STEP) : round(end / STEP), voices.index(speaker)] = True
        items.append(Item(clip, activity))
    return items


def chunks(item: Item, seconds: float | None) -> list[Item]:
    """A mixture of one recording cut into pieces of at most `seconds`."""
    if seconds is None or item.clip.seconds <= seconds:
        return [item]
    (part,) = item.clip.parts
    pieces = []
    for number in range(int(np.ceil(item.clip.seconds / seconds))):
        start, end = number * seconds, min((number + 1) * seconds, item.clip.seconds)
        clip = Clip(f"{item.id}@{number}", (replace(part, start=start, end=end),), end - start)
        activity = item.target[round(start / STEP) : round(end / STEP)]
        if len(activity):
            pieces.append(Item(clip, activity))
    return pieces


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """One LSTM with a sigmoid per speaker."""

    def encode(item: Item, frames: int) -> dict[str, torch.Tensor]:
        return {"activity": torch.from_numpy(at_rate(item.target, frames).astype(np.float32))}

    examples = [Examples(hidden, data.items[split], encode, pooled=False) for split in ("train", "dev")]
    layers, width = hidden.shape(data.items["train"][0].clip)
    head = fit(TASK.name, lambda: Diarization(layers, width, SPEAKERS, options), *examples, head_training(options))
    probabilities = {split: _probabilities(head, hidden, data.items[split], fit) for split in ("dev", "test")}

    def errors(split: str, threshold: float, median: int) -> list[tuple[int, int]]:
        return [
            diarization_errors(item.target, decide(probabilities[split][item.id], threshold, median, len(item.target)))
            for item in data.items[split]
        ]

    def on_dev(choice: tuple[float, int]) -> int:
        return sum(wrong for wrong, _ in errors("dev", *choice))

    best = min(((threshold, median) for threshold in THRESHOLDS for median in MEDIANS), key=on_dev)
    wrong, total = zip(*errors("test", *best), strict=True)
    return Result(
        {"der": rate(wrong, total, fit.resampling)},
        {"threshold": best[0], "median": best[1], "layer_shares": head.sum.shares()},
    )


def _probabilities(head: Diarization, hidden: Hidden, items: Sequence[Item], fit: Fit) -> dict[str, np.ndarray]:
    examples = Examples(hidden, items, lambda item, frames: {}, pooled=False)
    found = {}
    for keys in examples.batches():
        tensors = examples.load(keys).tensors
        for key, each, length in zip(
            keys, head.predict(tensors["hidden"].to(fit.device)).cpu(), tensors["lengths"], strict=True
        ):
            found[key] = each[:length].numpy()
    return found


def decide(probabilities: np.ndarray, threshold: float, median: int, frames: int) -> np.ndarray:
    """(T', speakers) → activity (frames, speakers): above the threshold, in most of `median` frames around."""
    speech = (probabilities > threshold).astype(np.int64)
    if median > 1:
        padded = np.pad(speech, ((median // 2, median // 2), (0, 0)))
        speech = np.lib.stride_tricks.sliding_window_view(padded, median, axis=0).sum(2) > median // 2
    return at_rate(speech.astype(bool), frames)


def at_rate(activity: np.ndarray, frames: int) -> np.ndarray:
    """`activity` (T, …) of the same stretch of time in `frames` steps: the one in the middle of each new step."""
    places = ((np.arange(frames) + 0.5) * len(activity) / frames).astype(int)
    return activity[np.minimum(places, len(activity) - 1)]
