"""The searches, one file each, and the registry that finds them by listing this folder.

A search is named by the `type` of its entry in the configuration; the entry's other keys are its options, all of them
needed (the schema of the configuration has their defaults).

To add one, add a file here: `some_search.py` is the search `some_search`. It has `SEARCH`, a `Search`. Its module is
imported only where it is used; commands name it among their modules, so that its edits rerun only its decodings. What
the workflow must know of it are literals at the top of the file (`secateur.core.plugins`):

    SCHEMA   its options; `lm`, if it has one, names a language model
    PART     attribute that a model must have, if not `ctc`: `joiner` of a transducer
    RUNS     what else of a model it runs, if that is there: `decoder` of a hybrid one
    READS    files that it needs beside: `train_text`, the training texts, and `tokens`, the token list's file
    SAVES    files of what it makes of these texts, which count among a system's bytes: its function
             `save(folder, sentences, tokenizer, search)` writes them, and answers how many numbers they hold
    FEWER    options that are numbers of tokens, and must be below that of the token list
    LIBRARY  (module, distribution, (major, minor)) of a library that it needs and that only older Pythons have: the
             first version without a build. A study leaves the search out where there is none
    SHOWN    {"lm": what tables call a language model of its own, "note": what a reader must know}, both with options
             in braces; {"baseline": True} for the one that tables compare others of the same PART with
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.plugins import Plugins
from secateur.models import types


@dataclass(frozen=True)
class Search:
    """A search that turns a model's output into words.

    Attributes:
        prepare: gives what decodes (`secateur.decoding.recognize.Decoder`) from a recognizer and the search's options,
            which are the names of its other parameters.
        part: attribute that a model must have: the file's PART.
        called: what messages call that part.
        check: raises SecateurError for options that do not fit a token list.
        written: how texts are written for scoring, references and hypotheses alike, from a text and its language; None
            leaves them as they are.
    """

    prepare: Callable[..., Any]
    part: str = types.CTC
    called: str = "CTC head"
    check: Callable[[Mapping[str, Any], Sequence[str]], None] | None = None
    written: Callable[[str, str], str] | None = None

    @property
    def options(self) -> list[str]:
        """The names of its options."""
        return list(inspect.signature(self.prepare).parameters)[1:]


SEARCHES = Plugins("search type", __name__, Path(__file__).parent, mark="SEARCH")
TRAIN_TEXT, TOKENS = "train_text", "tokens"


def module(name: str) -> str:
    """The module of the search of this name. Raises SecateurError if there is none."""
    return SEARCHES.named(name).module


def reads(name: str) -> tuple[str, ...]:
    """What a search reads beside the model, its language model and the sound. Raises SecateurError for other things."""
    found = SEARCHES.named(name).get("READS", ())
    if wrong := [each for each in found if each not in (TRAIN_TEXT, TOKENS)]:
        raise SecateurError(f"{module(name)}: READS: expected {TRAIN_TEXT} or {TOKENS}, got {wrong[0]!r}")
    return found


def part(name: str) -> str:
    """The part that a model must have for a search: `ctc`, or `joiner` of a transducer."""
    return SEARCHES.named(name).get("PART", types.CTC)


def fewer(name: str) -> tuple[str, ...]:
    """Options of a search that must be fewer than there are tokens."""
    return SEARCHES.named(name).get("FEWER", ())


def is_greedy(name: str) -> bool:
    """Whether tables compare other searches for the same part of a model with this one."""
    return SEARCHES.named(name).get("SHOWN", {}).get("baseline", False)


def greedy(parts: Collection[str]) -> dict[str, Any]:
    """The greedy search for a model that has these parts, with its defaults. Raises SecateurError if there is none."""
    for name, plugin in SEARCHES.all().items():
        if is_greedy(name) and part(name) in parts:
            return {"type": name, **{key: option["default"] for key, option in plugin.options.items()}}
    raise SecateurError(
        f"no search is greedy for a model with {', '.join(parts) or 'no part'}; add one, or another part"
    )


def unbuilt(name: str) -> bool:
    """Whether a search cannot be had here: its library is missing, and has no build for this Python."""
    library = SEARCHES.named(name).get("LIBRARY")
    return bool(library) and not find_spec(library[0]) and sys.version_info >= library[2]


def missing(name: str) -> str:
    """What library a search lacks here, and what to do; nothing if it lacks none."""
    library = SEARCHES.named(name).get("LIBRARY")
    if not library or find_spec(library[0]):
        return ""
    _, distribution, (major, minor) = library
    if not unbuilt(name):
        remedy = f"install it (pip install --no-deps {distribution}), or leave it out of decode.searches"
        return f"needs {distribution}, which is not installed; {remedy}"
    have, wants = f"{sys.version_info[0]}.{sys.version_info[1]}", f"Python {major}.{minor - 2} or {major}.{minor - 1}"
    return (
        f"needs {distribution}, which has no build for Python {have}; use {wants} "
        f"(make PYTHON=python{major}.{minor - 1})"
    )


def runs(name: str, other: str) -> bool:
    """Whether a search runs another part of a model, if that is there: the `decoder` of a hybrid one."""
    return other in SEARCHES.named(name).get("RUNS", ())


def shown(search: Mapping[str, Any], key: str) -> str:
    """What an entry of `searches` says of itself under a key of SHOWN; nothing if it does not."""
    return SEARCHES.named(search["type"]).get("SHOWN", {}).get(key, "").format(**search)


def named(name: str) -> Search:
    """The search of this name. Raises SecateurError if there is none."""
    return importlib.import_module(module(name)).SEARCH
