"""Keyword spotting.

On data directories: which of a few keywords is said in a prompt, or none. The default corpus has the digits and letters
as prompts of their own, but each recorded once, so there would be nothing to test on but the recordings of training, or
copies of these at another speed. Instead the keywords are looked for inside whole prompts of held-out sentences, which
is harder than SUPERB's one-second words, and a mean over several seconds is a blunt tool for it: far lower accuracies
are to be expected. Per language, the keywords are the words of `letters` letters or more that, one after the other, add
most to the training prompts with exactly one of them; prompts with two different ones are left out. A class is a
keyword of a language; prompts without one are the class "none" in all languages.

Official: Speech Commands v1 (Warden 2018), with its separate test set: ten words, silence and unknown, as s3prl has it:
classes are drawn alike, silence is a second out of a recording of noise, at a place drawn whenever it is used.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.ssl.tasks import SPLITS, Data, Item, Metric, Result, Task, classify, prompts
from secateur.ssl.tasks.clips import QUIETER, Clip, recording, whole
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.hidden import Hidden

OFFICIAL = ("test_root",)
SHOWN = {"order": 10}
SCHEMA = {
    "test_root": {
        "type": ["string", "null"],
        "format": "path",
        "default": None,
        "description": "Folder of Speech Commands' separate test set.",
    },
    "languages": {"$ref": "#/$defs/languages", "default": None},
    "keywords": {"type": "integer", "minimum": 2, "default": 5, "description": "Keywords of each language."},
    "letters": {"type": "integer", "minimum": 1, "default": 4, "description": "Letters of the shortest keyword."},
    "max_seconds": {"$ref": "#/$defs/longest", "default": None},
    "projection": {"$ref": "#/$defs/projection", "default": 256},
    "normalize": {"$ref": "#/$defs/normalize", "default": False},
    "balance": {"$ref": "#/$defs/balance", "default": False},
    "balanced": {
        "type": "boolean",
        "default": False,
        "description": "Draw the classes of training clips alike, with replacement, and of dev clips once.",
    },
    "training": {"$ref": "#/$defs/training", "default": {}},
}

TASK = Task("ks", "keyword spotting", (Metric("acc", higher=True),), pooled=True)
NONE = "none"
SECONDS = 1.0
"""Of an official clip."""
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE, NOISE = "_unknown_", "_silence_", "_background_noise_"


def from_directories(corpus: prompts.Corpus, options: Mapping[str, Any]) -> Data:
    """`options`: languages, keywords (per language), letters, max_seconds."""
    chosen = prompts.of(corpus, options["languages"], TASK.name)
    items: dict[str, list[Item]] = {split: [] for split in SPLITS}
    notes = []
    for language, splits in chosen.items():
        words = keywords(
            [set(utterance.text.split()) for utterance in splits["train"]], options["keywords"], options["letters"]
        )
        notes.append(f"{language}: {', '.join(words)}")
        for split in SPLITS:
            for utterance in prompts.no_longer(splits[split], options["max_seconds"]):
                found = sorted(set(utterance.text.split()) & set(words))
                if len(found) <= 1:
                    label = f"{language} {found[0]}" if found else NONE
                    items[split].append(Item(whole(utterance), (label,)))
    return Data(
        items,
        notes=f"which keyword a prompt holds, or none ({'; '.join(notes)}); {prompts.counts(items)}",
        chance={"acc": classify.majority(items)},
    )


def keywords(texts: list[set[str]], count: int, letters: int) -> list[str]:
    """The words that, one after the other, leave most of `texts` with exactly one of them; the first in the alphabet
    wins a tie. Raises SecateurError if there are fewer than `count` words that long."""
    candidates = sorted({word for text in texts for word in text if len(word) >= letters})
    if len(candidates) < count:
        raise SecateurError(f"ks: {len(candidates)} words of {letters} letters or more, {count} keywords are wanted")
    words: list[str] = []
    for _ in range(count):
        held = [len(text & set(words)) for text in texts]
        words.append(
            max(
                (word for word in candidates if word not in words),
                key=lambda word: sum((number + (word in text)) == 1 for number, text in zip(held, texts, strict=True)),
            )
        )
    return words


def official(options: Mapping[str, Any]) -> Data:
    """`options`: root (speech_commands_v0.01, unpacked), test_root (speech_commands_test_set_v0.01).

    A recording is in dev if its speaker's hash falls into the first tenth; the second tenth, the archive's own test
    set, is not used (Speech Commands' rule). The recordings of noise are the silence of train and of dev.
    """
    root, test_root = Path(options["root"]), Path(options["test_root"])
    items: dict[str, list[Item]] = {split: [] for split in SPLITS}
    for folder in sorted(path for path in _folder(root).iterdir() if path.is_dir() and path.name != NOISE):
        label = folder.name if folder.name in WORDS else UNKNOWN
        for path in sorted(folder.glob("*.wav")):
            share = hashed_share(path.name)
            split = "dev" if share < 10 else None if share < 20 else "train"
            if split:
                items[split].append(Item(_clip(path, f"{folder.name}/{path.stem}", SECONDS), (label,)))
    for split in ("train", "dev"):
        for path in sorted((root / NOISE).glob("*.wav")):
            items[split].append(Item(_clip(path, f"{split}/{NOISE}/{path.stem}"), (SILENCE,)))
    for folder in sorted(path for path in _folder(test_root).iterdir() if path.is_dir()):
        items["test"] += [
            Item(_clip(path, f"test/{folder.name}/{path.stem}", SECONDS), (folder.name,))
            for path in sorted(folder.glob("*.wav"))
        ]
    for split, members in items.items():
        missing = {*WORDS, UNKNOWN, SILENCE} - {label for item in members for label in item.target}
        if missing:
            where = test_root if split == "test" else root
            wanted = NOISE if missing == {SILENCE} and split != "test" else min(missing)
            raise SecateurError(
                f"{where}: no recordings of {wanted} for {split}; unpack Speech Commands v1 there, whole"
            )
    return Data(
        items,
        notes=f"Speech Commands v1; {prompts.counts(items)}",
        chance={"acc": classify.majority(items)},
        crops={"train": SECONDS, "dev": SECONDS},
    )


def _clip(path: Path, name: str, seconds: float | None = None) -> Clip:
    return recording(str(path), seconds, name, QUIETER)


def hashed_share(name: str) -> float:
    """Where the speaker of a recording falls on a scale of 0 to 100 (Speech Commands' README)."""
    most = 2**27 - 1
    number = int(hashlib.sha1(re.sub(r"_nohash_.*$", "", name).encode()).hexdigest(), 16)
    return number % (most + 1) * (100.0 / most)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise SecateurError(f"{path}: no such folder; unpack Speech Commands v1 there, or mend ssl[].tasks.ks")
    return path


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """Linear, mean over time, linear."""
    return classify.run(TASK, data, hidden, fit, options)
