"""Corpora: one recipe per file behind one small interface that yields Kaldi-style data directories.

A recipe is a module with three functions; `options` is the corpus' entry of the configuration and `cache` a folder
that all studies share:

- `fetch(options, language, cache)` checks that the material is there, or downloads it, and records where it is, its
  versions and checksums in `fetched_record(cache, language)`. Doing it again changes nothing.
- `splits(options)` names the splits, without touching a file.
- `prepare(options, language, cache)` returns a `Prepared`.

A new corpus is one new file, its name in `RECIPES`, and its keys in `workflow/schemas/corpora.schema.yaml`.
"""

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from secateur.datadir import Utterance, write_data_dir
from secateur.errors import SecateurError
from secateur.files import write_json, write_tsv

RECIPES = ("asterisk", "espeak", "kaldi", "librispeech", "mls")


@dataclass(frozen=True)
class Dropped:
    """An utterance of the source that is not used: why (a short, countable reason) and the text or value found."""

    utterance: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Prepared:
    """What a recipe makes of one language of a corpus.

    Attributes:
        splits: utterances of every split that the recipe's `splits` names.
        dropped: what was left out, and why.
        source: name, description, licence, credits, synthetic (bool), and whatever identifies the material.
    """

    splits: Mapping[str, list[Utterance]]
    dropped: list[Dropped] = field(default_factory=list)
    source: Mapping[str, Any] = field(default_factory=dict)


def recipe(name: str) -> ModuleType:
    """The recipe called `name`. Raises SecateurError for a name that is not in `RECIPES`."""
    if name not in RECIPES:
        raise SecateurError(f"recipe {name!r} is not known; choose one of {', '.join(RECIPES)}")
    return importlib.import_module(f"secateur.corpora.{name}")


def fetched_record(cache: Path, language: str) -> Path:
    """Where `fetch` records what it found or downloaded for `language`."""
    return Path(cache) / language / "fetched.json"


def check_language(options: Mapping[str, Any], language: str, known: Iterable[str]) -> None:
    """Raise SecateurError if the recipe does not have `language`."""
    known = list(known)
    if language not in known:
        raise SecateurError(
            f"languages: {language!r} is not in the recipe {options.get('recipe')!r}; choose from {', '.join(known)}"
        )


def exclude(prepared: Prepared, ids: Iterable[str]) -> Prepared:
    """Leave out the utterances with these ids (the configuration's `exclude`); ids of other languages do nothing."""
    unwanted = set(ids)
    gone = [utterance for members in prepared.splits.values() for utterance in members if utterance.id in unwanted]
    return replace(
        prepared,
        splits={
            split: [utterance for utterance in members if utterance.id not in unwanted]
            for split, members in prepared.splits.items()
        },
        dropped=[*prepared.dropped, *(Dropped(utterance.id, "excluded", utterance.text) for utterance in gone)],
    )


def write_prepared(folder: str | Path, prepared: Prepared) -> None:
    """Write every split as a data directory, `dropped.tsv` and `source.json` into `folder`.

    Raises SecateurError for a split without utterances, or an id that occurs in two splits.
    """
    folder = Path(folder)
    seen: dict[str, str] = {}
    for split, utterances in prepared.splits.items():
        if not utterances:
            raise SecateurError(f"{folder / split}: no utterances; see {folder / 'dropped.tsv'} or the corpus' folder")
        for utterance in utterances:
            if seen.setdefault(utterance.id, split) != split:
                raise SecateurError(
                    f"{folder}: utterance {utterance.id!r} is in both {seen[utterance.id]} and {split}; "
                    "every id must be unique within a corpus"
                )
    write_tsv(
        folder / "dropped.tsv",
        ("utterance", "reason", "detail"),
        ({"utterance": entry.utterance, "reason": entry.reason, "detail": entry.detail} for entry in prepared.dropped),
    )
    for split, utterances in prepared.splits.items():
        write_data_dir(folder / split, utterances)
    write_json(folder / "source.json", prepared.source)
