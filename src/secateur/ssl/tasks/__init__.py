"""SUPERB-style tasks: what a frozen speech encoder is good for (Yang et al. 2021, "SUPERB: Speech processing Universal
PERformance Benchmark").

The encoder ("upstream") stays as it is. Each task learns a weighted sum of its layers and a small head on top, of the
kind that SUPERB's toolkit s3prl uses, and scores it on test data. An upstream is a module with

    upstream(waveforms (B, S) float32 at 16 kHz, zero padded, lengths (B,) in samples)
        -> (hidden: list of (B, T', D): the input of the first layer, then every layer's output; lengths (B,) in frames)

A task is a module of this package, with

- `TASK`: its names, what it measures, and why the default corpus cannot carry it, if so.
- `from_directories(corpus, options)` makes its data from data directories (`secateur.ssl.tasks.prompts`), unless those
  cannot carry it; `official(options)` from the corpus that SUPERB uses, in its official layout. Both give `Data`.
- `run(data, hidden, fit, options)` trains its head, if it has one, and answers with `Result`.

A new task is one new file. At its top, it may have as literals, which the workflow reads without importing it
(`secateur.core.plugins`),

    SCHEMA     its options beside `source` and `root`; `#/$defs/training` and the like refer to `superb.schema.yaml`;
               those with `"format": "path"` name files
    OFFICIAL   options that official data needs beside `root`
    MISSING    why data directories cannot carry it
    SHOWN      {"order": its place in tables}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from secateur.core.errors import SecateurError
from secateur.ssl.known_tasks import TASKS
from secateur.ssl.tasks.clips import Clip
from secateur.ssl.tasks.metrics import Measured

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Metric:
    """What a task measures, in percent; whether more is better (`higher`); whether the score counts it (`scored`)."""

    name: str
    higher: bool
    scored: bool = True


@dataclass(frozen=True)
class Task:
    """The names of a task.

    Attributes:
        name: its module and its name in configurations and tables.
        title: for people.
        metrics: what it measures; of several that are scored, each counts its share of the task in the SUPERB score.
        pooled: whether its head takes means over time alone, so that no frames need be kept.
        missing: why data directories of transcribed speech, as of the default corpus, cannot carry it; "" if they can.
    """

    name: str
    title: str
    metrics: tuple[Metric, ...]
    pooled: bool = False
    missing: str = ""


@dataclass(frozen=True)
class Item:
    """One clip and what is to be found in it: labels (one per slot), words, phonemes, or who speaks when."""

    clip: Clip
    target: Any

    @property
    def id(self) -> str:
        return self.clip.id


@dataclass(frozen=True)
class Pair:
    """Two clips, by id, and whether they match: one speaker (SV), or the first is said in the second (QbE)."""

    first: str
    second: str
    match: bool


@dataclass(frozen=True)
class Data:
    """The data of a task.

    Attributes:
        items: of train, dev and test.
        pairs: of dev and test, for tasks that compare clips.
        notes: what a reader of the table must know: classes, splits, what is peculiar.
        chance: what each metric is without looking at the audio, in percent, by name; for tasks where that is defined.
        folds: for cross-validation (ER): other splits of the same items, which are run one by one and scored together.
        crops: by split, the seconds that a longer clip of it is cropped to, at a place drawn whenever it is used.
        confounded: why what it measures is not what its title says; it is then shown, and no score counts it.
    """

    items: Mapping[str, Sequence[Item]]
    pairs: Mapping[str, Sequence[Pair]] = field(default_factory=dict)
    notes: str = ""
    chance: Mapping[str, float] = field(default_factory=dict)
    folds: Sequence[Mapping[str, Sequence[Item]]] = ()
    crops: Mapping[str, float] = field(default_factory=dict)
    confounded: str = ""

    @property
    def clips(self) -> list[Clip]:
        """All clips that are encoded as they are, each as often as it occurs."""
        return [
            item.clip
            for items in (self.items, *self.folds)
            for split, members in items.items()
            for item in members
            if item.clip.seconds <= self.crops.get(split, item.clip.seconds)
        ]


@dataclass(frozen=True)
class Result:
    """What a task measured: each metric with its interval, and what explains it (layer weights, chosen thresholds)."""

    metrics: Mapping[str, Measured]
    details: Mapping[str, Any] = field(default_factory=dict)


def module(name: str) -> ModuleType:
    """The module of the task called `name`. Raises SecateurError if there is none."""
    return TASKS.named(name).load()


def check(data: Data, task: str) -> None:
    """Raise SecateurError for a split without items, an id that occurs twice in a split, or one that is in train and
    elsewhere."""
    for items in (data.items, *data.folds):
        seen: dict[str, set[str]] = {}
        for split, members in items.items():
            seen[split] = {item.id for item in members}
            if not members:
                raise SecateurError(f"{task}: the {split} set is empty; give more data, or leave the task out")
            if len(seen[split]) < len(members):
                raise SecateurError(f"{task}: an id occurs twice in its {split} set; ids must be unique")
        for split in ("dev", "test"):
            both = seen.get("train", set()) & seen.get(split, set())
            if both:
                raise SecateurError(f"{task}: {min(both)!r} is in train and in {split}; a clip may be in one of them")
