"""Corpora: one recipe per file behind one small interface that yields Kaldi-style data directories.

A recipe is a module with these functions; `options` is the corpus' entry of the configuration with all its keys (the
schema's defaults are filled in, and are nowhere else), and `cache` a folder that all studies share:

- `fetch(options, language, cache)` checks that the material is there, or downloads it, and records where it is, its
  versions and checksums in `fetched_record(cache, language)`. Doing it again changes nothing.
- `inputs(options, language)`, which a recipe may leave out, lists the files of the user's that may be edited, as far as
  they exist and are cheap to find. `fetch` puts their checksums into its record, so an edit runs all that follows.
- `check(options, language)`, which a recipe may leave out, raises SecateurError for files of the user's that are not
  there.
- `prepare(options, language, cache)` returns a `Prepared`. It knows nothing of `exclude`.

and these literals at the top of the file, which the workflow reads without importing it (`secateur.core.plugins`):

    SCHEMA          its keys beside those that all corpora have; it may narrow `languages`
    SPLITS          names of the splits; "{key}" stands for the names that an option of this name lists
    FETCH_OPTIONS   the keys that `fetch` reads
    SHOWN           {"hours": published hours of training speech: by option, by its values, for each language or all;
                    "source": who published them}

An option whose `format` in SCHEMA is `path`, or whose values' is, names files or folders of the user's.

A new corpus is one new file here: `some_corpus.py` is the recipe `some_corpus`.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.plugins import Plugins
from secateur.speech.datadir import Utterance

PATH = "path"
RECIPES = Plugins("recipe", __name__, Path(__file__).parent, mark="SCHEMA")


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
    """The recipe called `name`. Raises SecateurError if there is none."""
    return RECIPES.named(name).load()


def split_names(options: Mapping[str, Any]) -> list[str]:
    """Names of the splits of a corpus, in the order of its recipe."""
    return [name for _, name in _splits(options)]


def _splits(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key that lists it, or nothing; name) of every split."""
    found: list[tuple[str, str]] = []
    for name in RECIPES.named(options["recipe"]).get("SPLITS", ("train", "dev", "test")):
        key = name.strip("{}") if name.startswith("{") else ""
        found += [(key, each) for each in (options[key] if key else [name])]
    return found


def repeated_splits(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, name) of splits that an option lists though another split has this name."""
    found = _splits(options)
    return [(key, name) for key, name in found if key and [other for _, other in found].count(name) > 1]


def paths(options: Mapping[str, Any]) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """(name of the key, what holds it, its last parts) of the options of a corpus that name files or folders."""
    if "root" in options:
        yield "", options, ("root",)
    for key, schema in RECIPES.named(options["recipe"]).options.items():
        below = schema.get("additionalProperties", {})
        if schema.get("format") == PATH:
            yield "", options, (key,)
        elif isinstance(below, Mapping) and below.get("format") == PATH:
            yield f".{key}", options[key], tuple(options[key])


def hours(options: Mapping[str, Any]) -> tuple[float, str] | None:
    """Published hours of training speech of a corpus, of all its languages, and who published them; None if unknown."""
    shown = RECIPES.named(options["recipe"]).get("SHOWN", {})
    total = 0.0
    for key, known in shown.get("hours", {}).items():
        for value in options[key] if isinstance(options[key], list) else [options[key]]:
            if value not in known:
                return None
            found = known[value]
            total += sum(found[code] if isinstance(found, Mapping) else found for code in options["languages"])
    return (total, shown["source"]) if total else None


def fetch_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a corpus' entry that fetching reads: studies that differ elsewhere share what was fetched."""
    return {key: options[key] for key in ("recipe", *RECIPES.named(options["recipe"]).get("FETCH_OPTIONS", ()))}


def inputs(options: Mapping[str, Any], language: str) -> list[str]:
    """Existing files of the user's that a corpus is read from; none for a recipe that cannot tell."""
    module = recipe(options["recipe"])
    return module.inputs(options, language) if hasattr(module, "inputs") else []


def check(options: Mapping[str, Any], language: str) -> None:
    """Raise SecateurError for files of the user's that are not there, as far as the recipe can tell at once."""
    module = recipe(options["recipe"])
    if hasattr(module, "check"):
        module.check(options, language)


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
