"""Intent classification.

On data directories: what a prompt is about. The default corpus names its prompts after the application that plays them
(`vm-…` voicemail, `conf-…` and `confbridge-…` conferences, `queue-…`, `dir-…` directory, …); the names are the intents,
the same in all languages. It is a real, human classification of sentences by purpose, though of the speaker of a
machine's prompts and not of its user, and words of one application are apt to give it away, as in SUPERB. A prompt of
the test set may have been translated into another language of the training set, but never occurs there in its own.
Only intents with at least `minimum` clips in train and one in test count.

Official: Fluent Speech Commands (Lugosch et al. 2019): action, object and location, all of which must be right.
"""

import csv
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.ssl.tasks import SPLITS, Data, Item, Metric, Result, Task, classify, prompts
from secateur.ssl.tasks.clips import recording, whole
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.hidden import Hidden

SHOWN = {"order": 20}
SCHEMA = {
    "languages": {"$ref": "#/$defs/languages", "default": None},
    "minimum": {
        "type": "integer",
        "minimum": 1,
        "default": 5,
        "description": "Fewest training clips of an intent that counts.",
    },
    "max_seconds": {"$ref": "#/$defs/longest", "default": None},
    "projection": {"$ref": "#/$defs/projection", "default": 256},
    "normalize": {"$ref": "#/$defs/normalize", "default": False},
    "balance": {"$ref": "#/$defs/balance", "default": False},
    "training": {"$ref": "#/$defs/training", "default": {}},
}

TASK = Task("ic", "intent classification", (Metric("acc", higher=True),), pooled=True)
SAME = {"confbridge": "conf", "priv": "privacy", "screen": "privacy"}
"""Names of one application, as the prompts themselves show."""
SLOTS = ("action", "object", "location")
FILES = {"train": "train_data.csv", "dev": "valid_data.csv", "test": "test_data.csv"}


def from_directories(corpus: prompts.Corpus, options: Mapping[str, Any]) -> Data:
    """`options`: languages, minimum, max_seconds."""
    chosen = prompts.of(corpus, options["languages"], TASK.name)
    items: dict[str, list[Item]] = {}
    for split in SPLITS:
        utterances = prompts.no_longer(prompts.joined(chosen, split), options["max_seconds"])
        items[split] = [Item(whole(utterance), (intent(utterance.id, utterance.language),)) for utterance in utterances]
    totals = Counter(item.target for item in items["train"])
    tested = {item.target for item in items["test"]}
    kept = {label for label, count in totals.items() if count >= options["minimum"] and label in tested}
    if len(kept) < 2:
        raise SecateurError(
            f"ic: {len(kept)} intents with {options['minimum']} clips in train and one in test; the ids must be named "
            "`{language}-{application}-…`, as those of the recipe asterisk; leave ic out of ssl[].tasks otherwise"
        )
    items = {split: [item for item in members if item.target in kept] for split, members in items.items()}
    names = ", ".join(sorted(label for (label,) in kept))
    return Data(
        items,
        notes=f"which application a prompt belongs to ({names}); {prompts.counts(items)}",
        chance={"acc": classify.majority(items)},
    )


def intent(utterance: str, language: str) -> str:
    """`en-vm-savefolder` → `vm`: what stands before the first hyphen or underscore after the language."""
    name = re.split("[-_]", utterance.removeprefix(f"{language}-"), maxsplit=1)[0]
    return SAME.get(name, name)


def official(options: Mapping[str, Any]) -> Data:
    """`options`: root (the folder `fluent_speech_commands_dataset`)."""
    root = Path(options["root"])
    items = {}
    for split, name in FILES.items():
        try:
            with open(root / "data" / name, encoding="utf-8", newline="") as stream:
                rows = list(csv.DictReader(stream))
        except FileNotFoundError as error:
            raise SecateurError(f"{root / 'data' / name}: no such file; mend ssl[].tasks.ic.root") from error
        items[split] = [
            Item(recording(str(root / row["path"]), name=Path(row["path"]).stem), tuple(row[slot] for slot in SLOTS))
            for row in rows
        ]
    return Data(
        items, notes=f"Fluent Speech Commands; {prompts.counts(items)}", chance={"acc": classify.majority(items)}
    )


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """Linear, mean over time, linear, with a softmax per slot."""
    return classify.run(TASK, data, hidden, fit, options)
