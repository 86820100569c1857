"""Corpora: one recipe per file behind one small interface that yields Kaldi-style data directories.

A recipe is a module with these functions; `options` is the corpus' entry of the configuration with all its keys (the
schema's defaults are filled in, and are nowhere else), and `cache` a folder that all studies share:

- `fetch(options, language, cache)` checks that the material is there, or downloads it, and records where it is, its
  versions and checksums in `fetched_record(cache, language)`. Doing it again changes nothing. `FETCH_OPTIONS` names the
  keys that it reads.
- `inputs(options, language)`, which a recipe may leave out, lists the files of the user's that may be edited, as far as
  they exist and are cheap to find. `fetch` puts their checksums into its record, so an edit runs all that follows.
- `splits(options)` names the splits, without touching a file.
- `prepare(options, language, cache)` returns a `Prepared`. It knows nothing of `exclude`.

A new corpus is one new file, its name in `RECIPES`, and its keys in `src/secateur/study/schemas/corpora.schema.yaml`.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import write_json, write_tsv
from secateur.speech.datadir import Utterance, taken_by_copies, write_data_dir
from secateur.speech.units import WORD, unit_of, without_spaces

RECIPES = ("asterisk", "espeak", "kaldi", "librispeech", "mls")
SHOWN = 10


@dataclass(frozen=True)
class Dropped:
    """An utterance of the source that is not used: why (a short, countable reason) and the text or value found.

    `split` is the one that it would be in, where that is known.
    """

    utterance: str
    reason: str
    detail: str = ""
    split: str = ""


@dataclass(frozen=True)
class Prepared:
    """What a recipe makes of one language of a corpus.

    Attributes:
        splits: utterances of every split that the recipe's `splits` names.
        dropped: what was left out, and why.
        source: name, description, licence, credits, synthetic (bool), and whatever identifies the material.
        broken: what cannot be used and has to be mended or excluded; `detail` says what is wrong.
    """

    splits: Mapping[str, list[Utterance]]
    dropped: list[Dropped] = field(default_factory=list)
    source: Mapping[str, Any] = field(default_factory=dict)
    broken: list[Dropped] = field(default_factory=list)


def recipe(name: str) -> ModuleType:
    """The recipe called `name`. Raises SecateurError for a name that is not in `RECIPES`."""
    if name not in RECIPES:
        raise SecateurError(f"recipe {name!r} is not known; choose one of {', '.join(RECIPES)}")
    return importlib.import_module(f"secateur.speech.corpora.{name}")


def split_names(options: Mapping[str, Any]) -> list[str]:
    """Names of the splits of a corpus."""
    return recipe(options["recipe"]).splits(options)


def fetch_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a corpus' entry that fetching reads: studies that differ elsewhere share what was fetched."""
    return {key: options[key] for key in ("recipe", *recipe(options["recipe"]).FETCH_OPTIONS)}


def inputs(options: Mapping[str, Any], language: str) -> list[str]:
    """Existing files of the user's that a corpus is read from; none for a recipe that cannot tell."""
    module = recipe(options["recipe"])
    return module.inputs(options, language) if hasattr(module, "inputs") else []


def prepare(options: Mapping[str, Any], language: str, cache: Path, speeds: Iterable[float] = (1.0,)) -> Prepared:
    """Run the recipe, leave out what `exclude` names, and refuse what is broken, recordings among it.

    Args:
        speeds: those of the copies that will be made of the training data.

    Raises SecateurError naming up to `SHOWN` of the broken utterances, with their files, and for copies whose ids are
    taken.
    """
    prepared = exclude(recipe(options["recipe"]).prepare(options, language, cache), options["exclude"])
    if options.get("normalise", True):
        prepared = in_one_line(prepared)
    from secateur.speech.corpora import recordings  # imports numpy, which whoever reads this package's names can spare

    unusable = recordings.unusable([utterance for members in prepared.splits.values() for utterance in members])
    broken = [*prepared.broken, *(Dropped(key, "broken", problem) for key, problem in unusable.items())]
    if broken:
        shown = [f"  {entry.utterance}: {entry.detail}" for entry in broken[:SHOWN]]
        more = len(broken) - SHOWN
        raise SecateurError(
            f"{language}: {len(broken)} utterances cannot be used; mend them, or add their ids to "
            "corpora.<name>.exclude:\n" + "\n".join(shown) + (f"\n  and {more} more" if more > 0 else "")
        )
    taken = taken_by_copies((utterance.id for utterance in prepared.splits["train"]), speeds)
    if taken:
        raise SecateurError(
            f"{language}: {len(taken)} ids of train, such as {taken[0]!r}, are those that copies at other speeds get: "
            "the data has such copies already; set features.speeds to [1.0], or take the copies out of train"
        )
    return prepared


def in_one_line(prepared: Prepared) -> Prepared:
    """Take the spaces out of the texts of a language that is written without; they stand for punctuation."""
    if unit_of(utterance.text for members in prepared.splits.values() for utterance in members) == WORD:
        return prepared
    splits = {
        split: [replace(utterance, text=without_spaces(utterance.text)) for utterance in members]
        for split, members in prepared.splits.items()
    }
    return replace(prepared, splits=splits)


@contextmanager
def noted(broken: list[Dropped], utterance: str) -> Iterator[None]:
    """Add the utterance to `broken` if the block raises SecateurError, and go on after the block."""
    try:
        yield
    except SecateurError as error:
        broken.append(Dropped(utterance, "broken", str(error)))


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
    """Leave out the utterances with these ids, broken or not; ids of other languages do nothing."""
    unwanted = set(ids)
    gone = [
        *((utterance.id, utterance.text, split) for split, members in prepared.splits.items() for utterance in members),
        *((entry.utterance, entry.detail, entry.split) for entry in prepared.broken),
    ]
    return replace(
        prepared,
        splits={
            split: [utterance for utterance in members if utterance.id not in unwanted]
            for split, members in prepared.splits.items()
        },
        dropped=[*prepared.dropped, *(Dropped(key, "excluded", *more) for key, *more in gone if key in unwanted)],
        broken=[entry for entry in prepared.broken if entry.utterance not in unwanted],
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
        ("utterance", "split", "reason", "detail"),
        (vars(entry) for entry in prepared.dropped),
    )
    for split, utterances in prepared.splits.items():
        write_data_dir(folder / split, utterances)
    write_json(folder / "source.json", prepared.source)
