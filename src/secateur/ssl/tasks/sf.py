"""Slot filling.

Data directories cannot carry it: their transcripts have no slots, and the default corpus' prompts are a machine's
announcements, which hold no values to fill slots with.

Official: Audio SNIPS (Lai et al. 2021), which is read by synthetic voices: characters with tags around the slots'
values, e.g. `play B-artist prince E-artist`, recognised like ASR. Slot type F1: mean over sentences of the F1 of the
set of slots; slot value CER: characters wrong, of the values of the reference's slots, each against the nearest of the
hypothesis' values of that slot (s3prl).
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import editdistance
import numpy as np

from secateur.core.errors import SecateurError
from secateur.decoding.scoring import percentage
from secateur.ssl.tasks import SPLITS, Data, Item, Metric, Result, Task, prompts
from secateur.ssl.tasks.clips import recording
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.heads import RecurrentCTC
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.recognize import Symbols, transcribe

MISSING = "the corpus' transcripts have no slots; its prompts are a machine's announcements"
SHOWN = {"order": 70}
SCHEMA = {
    "projection": {"$ref": "#/$defs/projection", "default": 256},
    "hidden": {"type": "integer", "minimum": 1, "default": 1024},
    "layers": {"type": "integer", "minimum": 1, "default": 2},
    "dropout": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.2},
    "stack": {"type": "integer", "minimum": 1, "default": 1},
    "normalize": {"$ref": "#/$defs/normalize", "default": False},
    "specaug": {"$ref": "#/$defs/specaug", "default": {}},
    "training": {"$ref": "#/$defs/training", "default": {}},
}

TASK = Task(
    "sf",
    "slot filling",
    (Metric("f1", higher=True), Metric("cer", higher=False, scored=False)),
    missing=MISSING,
)
FOLDERS = {"train": "train", "dev": "valid", "test": "test"}
SPEAKERS = {  # SUPERB's division of the voices
    "train": ("Ivy", "Joanna", "Joey", "Justin", "Kendra", "Kimberly", "Matthew", "Salli"),
    "dev": ("Aditi", "Amy", "Geraint", "Nicole"),
    "test": ("Brian", "Emma", "Raveena", "Russell"),
}


def official(options: Mapping[str, Any]) -> Data:
    """`options`: root (with `all.iob.snips.txt` and the folders train, valid and test of `{id}.wav` or `.mp3`)."""
    root = Path(options["root"])
    table = root / "all.iob.snips.txt"
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise SecateurError(f"{table}: no such file; set superb.tasks.sf.root to the folder of Audio SNIPS") from error
    targets = {}
    for number, line in enumerate(lines, 1):
        words, tab, tags = line.strip().partition("\t")
        name, *words = words.split()
        if not tab or len(words) != len(tags.split()):
            raise SecateurError(f"{table}:{number}: wanted are an id and words, a tab, and as many tags")
        # The first and last word are BOS and EOS, and the tag of the latter is the intent.
        targets[name] = tagged(words[1:-1], tags.split()[1:-1])
    items: dict[str, list[Item]] = {}
    for split in SPLITS:
        paths = sorted((root / FOLDERS[split]).rglob("*.[wm][ap][v3]"), key=lambda path: path.stem)
        items[split] = [
            Item(recording(str(path), name=path.stem), targets[path.stem])
            for path in paths
            if path.stem.split("-")[0] in SPEAKERS[split] and path.stem in targets
        ]
    return Data(items, notes=f"Audio SNIPS (synthetic voices); {prompts.counts(items)}")


def tagged(words: list[str], tags: list[str]) -> Symbols:
    """Characters, with `B-slot` and `E-slot` around values: words [play, prince], tags [O, B-artist] →
    p, l, a, y, " ", B-artist, " ", p, …, e, " ", E-artist."""
    spoken: list[str] = []
    inside = None
    for word, tag in zip(words, tags, strict=True):
        kind, _, slot = tag.partition("-")
        if inside and (kind != "I" or slot != inside):
            spoken.append(f"E-{inside}")
            inside = None
        if kind != "O" and not inside:
            spoken.append(f"B-{slot}")
            inside = slot
        spoken.append(word)
    if inside:
        spoken.append(f"E-{inside}")
    symbols: list[str] = []
    for place, unit in enumerate(spoken):
        symbols += [" "] if place else []
        symbols += [unit] if _TAG.fullmatch(unit) else list(unit)
    return tuple(symbols)


_TAG = re.compile(r"[BE]-\S+")


def slots(symbols: Symbols) -> dict[str, list[str]]:
    """The values of every slot. A value without an end, or an end without a beginning, is none."""
    found: dict[str, list[str]] = defaultdict(list)
    slot, value = None, []
    for symbol in symbols:
        if symbol.startswith("B-") and len(symbol) > 2:
            slot, value = symbol[2:], []
        elif symbol.startswith("E-") and len(symbol) > 2:
            if slot == symbol[2:]:
                found[slot].append(" ".join("".join(value).split()))
            slot = None
        elif slot is not None:
            value.append(symbol)
    return dict(found)


def slot_f1(reference: Mapping[str, list[str]], hypothesis: Mapping[str, list[str]]) -> float:
    """F1 of the set of slots of one sentence; 1 if neither has any."""
    if not reference and not hypothesis:
        return 1.0
    return 2 * len(reference.keys() & hypothesis.keys()) / (len(reference) + len(hypothesis))


def value_errors(reference: Mapping[str, list[str]], hypothesis: Mapping[str, list[str]]) -> tuple[int, int]:
    """(characters wrong, characters) of the values of the reference's slots of one sentence."""
    errors = total = 0
    for slot, values in reference.items():
        for value in values:
            total += len(value)
            errors += min((editdistance.eval(value, other) for other in hypothesis.get(slot, ())), default=len(value))
    return errors, total


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """Bidirectional LSTM layers with CTC on characters and tags."""
    heard = transcribe(TASK, data, hidden, fit, RecurrentCTC, options, lambda item: item.target)
    pairs = [(slots(item.target), slots(heard.texts[item.id])) for item in data.items["test"]]
    f1 = percentage([slot_f1(*pair) for pair in pairs], [1] * len(pairs), fit.seed)
    errors, totals = np.array([value_errors(*pair) for pair in pairs]).T
    return Result({"f1": f1, "cer": percentage(errors, totals, fit.seed)}, {"layer_shares": heard.head.sum.shares()})
