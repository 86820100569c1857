"""Emotion recognition.

Data directories cannot carry it: they have no labels of emotions, and the default corpus' voices read every prompt in
one friendly manner, so labels could not be added by listening either.

Official: IEMOCAP (Busso et al. 2008): neutral, happy (with excited), sad and angry. Each of the five sessions is the
test set once; the accuracy is the mean of the five. A fifth of the training clips, drawn by their ids, is dev.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.ssl.tasks import Data, Item, Metric, Result, Task, classify, prompts
from secateur.ssl.tasks.clips import recording
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.hidden import Hidden

MISSING = "the corpus has no labels of emotions; all prompts are read in one manner"
SHOWN = {"order": 50}
SCHEMA = {
    "projection": {"$ref": "#/$defs/projection", "default": 256},
    "normalize": {"$ref": "#/$defs/normalize", "default": False},
    "balance": {"$ref": "#/$defs/balance", "default": False},
    "training": {"$ref": "#/$defs/training", "default": {}},
}

TASK = Task(
    "er",
    "emotion recognition",
    (Metric("acc", higher=True),),
    pooled=True,
    missing=MISSING,
)
EMOTIONS = {"neu": "neutral", "hap": "happy", "exc": "happy", "sad": "sad", "ang": "angry"}
LINE = re.compile(r"\[\d+\.\d+ - \d+\.\d+\]\t(\S+)\t(\w+)\t\[")
SESSIONS = range(1, 6)
DEV_SHARE = 5  # one in so many


def official(options: Mapping[str, Any]) -> Data:
    """`options`: root (the folder with Session1 to Session5)."""
    sessions = [session(Path(options["root"]) / f"Session{number}") for number in SESSIONS]
    folds = []
    for number, test in enumerate(sessions):
        others = sorted(
            (item for place, members in enumerate(sessions) if place != number for item in members),
            key=lambda item: prompts.digest("er", item.id),
        )
        folds.append(
            {"train": others[len(others) // DEV_SHARE :], "dev": others[: len(others) // DEV_SHARE], "test": test}
        )
    sizes = ", ".join(str(len(members)) for members in sessions)
    chance = sum(classify.majority(fold) for fold in folds) / len(folds)
    return Data({}, notes=f"IEMOCAP, five folds; clips per session {sizes}", chance={"acc": chance}, folds=folds)


def session(folder: Path) -> list[Item]:
    """The clips of a session with one of the four emotions."""
    tables = sorted((folder / "dialog" / "EmoEvaluation").glob("*.txt"))
    if not tables:
        raise SecateurError(f"{folder}: no dialog/EmoEvaluation/*.txt; set ssl[].tasks.er.root to IEMOCAP's folder")
    items = []
    for table in tables:
        for name, emotion in LINE.findall(table.read_text(encoding="utf-8")):
            if emotion in EMOTIONS:
                path = folder / "sentences" / "wav" / table.stem / f"{name}.wav"
                items.append(Item(recording(str(path), name=name), (EMOTIONS[emotion],)))
    return items


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """Linear, mean over time, linear, once per fold."""
    return classify.run(TASK, data, hidden, fit, options)
