"""Slot filling.

Data directories cannot carry it: their transcripts have no slots, and the default corpus' prompts are a machine's
announcements, which hold no values to fill slots with.

Official: Audio SNIPS (Lai et al. 2021), which is read by synthetic voices, as s3prl prepares it: characters with tags
around the slots' values, e.g. `PLAY B-artist PRINCE E-artist`, recognised like ASR. Slot type F1: mean over sentences
of the F1 of the set of slots; slot value CER: characters wrong, of the values of the reference's slots, each against
the nearest of the hypothesis' values of that slot.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import editdistance
import numpy as np

from secateur.core.errors import SecateurError
from secateur.ssl.tasks import SPLITS, Data, Item, Metric, Result, Task, prompts
from secateur.ssl.tasks.clips import recording
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.heads import RecurrentCTC
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.metrics import accuracy, rate
from secateur.ssl.tasks.recognize import Symbols, transcribe

MISSING = "the corpus' transcripts have no slots; its prompts are a machine's announcements"
SHOWN = {"order": 70}
SCHEMA = {
    "projection": {"$ref": "#/$defs/projection", "default": 256},
    "hidden": {"type": "integer", "minimum": 1, "default": 1024, "description": "Width of the LSTM in each direction."},
    "layers": {"type": "integer", "minimum": 1, "default": 2, "description": "Layers of the LSTM."},
    "dropout": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.2,
        "description": "Dropout rate after the LSTM layers.",
    },
    "stack": {"type": "integer", "minimum": 1, "default": 1, "description": "Frames that are joined to one."},
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
PUNCTUATION = "?!.,;-"
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
        raise SecateurError(f"{table}: no such file; set ssl[].tasks.sf.root to the folder of Audio SNIPS") from error
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
        if not items[split]:
            raise SecateurError(
                f"{root / FOLDERS[split]}: no recordings of {', '.join(SPEAKERS[split])} that {table.name} lists; "
                "unpack Audio SNIPS there, as s3prl prepares it"
            )
    return Data(items, notes=f"Audio SNIPS (synthetic voices); {prompts.counts(items)}")


def tagged(words: list[str], tags: list[str]) -> Symbols:
    """Characters, with `B-slot` and `E-slot` around values, as s3prl makes them of its files.

    Words [PLAY, PURPLE, RAIN] with tags [O, album, album] → P, L, A, Y, " ", B-album, P, …, E, " ", R, …, N, E-album.

    Neighbours of one tag are one value. Punctuation is left out, and with it the tag that it would begin or end.
    """
    symbols: list[str] = []
    around = ["O", *tags, "O"]
    for place, (word, tag) in enumerate(zip(words, tags, strict=True)):
        if word in PUNCTUATION:
            continue
        if tag != "O" and around[place] != tag:
            symbols.append(f"B-{tag}")
        symbols += "AND" if word == "&" else word
        if tag != "O" and around[place + 2] != tag:
            symbols.append(f"E-{tag}")
        if place < len(words) - 1:
            symbols.append(" ")
    return tuple(symbols)


def slots(symbols: Symbols) -> dict[str, list[str]]:
    """The values of every slot, of what was heard or said, by s3prl's rule.

    A value is what stands between a `B-slot` and the next `E-slot` of the same slot, without the tags in between. One
    that is not closed, or has no character, is none.
    """
    pieces = [
        f"{each} " if _BEGIN.fullmatch(each) else f" {each}" if _END.fullmatch(each) else each for each in symbols
    ]
    text = re.sub(" +", " ", "".join(pieces))
    found: dict[str, list[str]] = defaultdict(list)
    for slot, value in re.findall(r"B-(\S+) (.+?) E-\1", text):
        found[slot].append(re.sub(r" E-\S+", "", re.sub(r"B-\S+ ", "", value)))
    return dict(found)


_BEGIN, _END = re.compile(r"B-\S+"), re.compile(r"E-\S+")


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


def sentence_errors(heard: Symbols, said: Symbols) -> tuple[float, int]:
    """(1 − F1 of the slots, 1) of a sentence."""
    return 1 - slot_f1(slots(said), slots(heard)), 1


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """Bidirectional LSTM layers with CTC on characters and tags."""
    heard = transcribe(TASK, data, hidden, fit, RecurrentCTC, options, lambda item: item.target, sentence_errors)
    pairs = [(slots(item.target), slots(heard.texts["test"][item.id])) for item in data.items["test"]]
    f1 = accuracy([slot_f1(*pair) for pair in pairs], fit.resampling)
    errors, totals = np.array([value_errors(*pair) for pair in pairs]).T
    return Result({"f1": f1, "cer": rate(errors, totals, fit.resampling)}, {"layer_shares": heard.head.sum.shares()})
