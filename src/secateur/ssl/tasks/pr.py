"""Phoneme recognition: phoneme error rate.

Phonemes come from a lexicon file (`WORD  P1 P2 …` a line; of several pronunciations the first counts, as in SUPERB), or
else from espeak-ng's rules for the language, without stress. These are canonical pronunciations of the transcript's
words in context, not what the voice really said: even a perfect recogniser would not reach 0 %.

Official: LibriSpeech train-clean-100, dev-clean and test-clean; SUPERB uses its lexicon, with stressed vowels.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import editdistance

from secateur.core.errors import SecateurError
from secateur.decoding.scoring import score
from secateur.ssl.tasks import Data, Item, Metric, Result, Task, asr, prompts
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.heads import FrameCTC
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.metrics import rate
from secateur.ssl.tasks.phonemes import phonemes
from secateur.ssl.tasks.recognize import Symbols, transcribe

SHOWN = {"order": 30}
SCHEMA = {
    "lexicon": {
        "type": "array",
        "format": "path",
        "items": {"type": "string"},
        "default": [],
        "description": "Pronunciations, for `official`; none for espeak-ng's.",
    },
    "languages": {"$ref": "#/$defs/languages", "default": None},
    "max_seconds": {"$ref": "#/$defs/longest", "default": None},
    "projection": {"$ref": "#/$defs/projection", "default": 256},
    "normalize": {"$ref": "#/$defs/normalize", "default": False},
    "training": {"$ref": "#/$defs/training", "default": {}},
}

TASK = Task("pr", "phoneme recognition", (Metric("per", higher=False),))


def from_directories(corpus: prompts.Corpus, options: Mapping[str, Any]) -> Data:
    """`options`: languages, max_seconds (of train and dev)."""
    return by_rules(asr.from_directories(corpus, options))


def official(options: Mapping[str, Any]) -> Data:
    """`options`: root (the folder LibriSpeech), lexicon (files; none for espeak-ng's phonemes)."""
    data = asr.official(options)
    if not options["lexicon"]:
        return by_rules(data)
    words = lexicon([Path(path) for path in options["lexicon"]])
    items = {
        split: [Item(item.clip, spelled(item.target[0], words, item.id)) for item in members]
        for split, members in data.items.items()
    }
    return Data(items, notes=f"{data.notes}; phonemes of the lexicon")


def by_rules(data: Data) -> Data:
    """ASR's data with espeak-ng's phonemes for targets."""
    items = {}
    for split, members in data.items.items():
        spoken: dict[str, Symbols] = {}
        for language in sorted({item.target[1] for item in members}):
            some = [item for item in members if item.target[1] == language]
            texts = phonemes([item.target[0] for item in some], language)
            spoken |= {item.id: symbols for item, symbols in zip(some, texts, strict=True)}
        items[split] = [Item(item.clip, spoken[item.id]) for item in members]
    return Data(items, notes=f"{data.notes}; phonemes of espeak-ng")


def lexicon(paths: list[Path]) -> dict[str, Symbols]:
    """Pronunciations by word, in lower case; the first that the files have of a word."""
    words: dict[str, Symbols] = {}
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError as error:
            raise SecateurError(f"{path}: no such lexicon; mend ssl[].tasks.pr.lexicon") from error
        for line in lines:
            word, *symbols = line.split()
            words.setdefault(word.lower(), tuple(symbols))
    return words


def spelled(text: str, words: Mapping[str, Symbols], name: str) -> Symbols:
    """The phonemes of `text`. Raises SecateurError naming a word that the lexicon lacks."""
    missing = [word for word in text.split() if word not in words]
    if missing:
        raise SecateurError(f"pr: the lexicon lacks {missing[0]!r} of {name}; add a file to ssl[].tasks.pr.lexicon")
    return tuple(symbol for word in text.split() for symbol in words[word])


def errors(heard: Symbols, said: Symbols) -> tuple[int, int]:
    """(phonemes wrong, phonemes)."""
    return editdistance.eval(heard, said), len(said)


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """A linear classifier of frames with CTC."""
    heard = transcribe(TASK, data, hidden, fit, FrameCTC, options, lambda item: item.target, errors)
    scores = score(
        {item.id: " ".join(item.target) for item in data.items["test"]},
        {key: " ".join(symbols) for key, symbols in heard.texts["test"].items()},
    )
    per = rate([each.errors for each in scores], [each.words for each in scores], fit.resampling)
    return Result({"per": per}, {"layer_shares": heard.head.sum.shares()})
