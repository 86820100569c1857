"""The searches, one file each, and the registry that finds them by listing this folder.

A search is named by the `type` of its entry in the configuration; the entry's other keys are its options, all of them
needed (the schema of the configuration has their defaults).

To add one, add a file here: `some_search.py` is the search `some_search`. It has `SEARCH`, a `Search`. Its module is
imported only where it is used; commands name it among their modules, so that its edits rerun only its decodings.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError


@dataclass(frozen=True)
class Search:
    """A search that turns a model's output into words.

    Attributes:
        prepare: gives what decodes (`secateur.decoding.recognize.Decoder`) from a recognizer and the search's options,
            which are the names of its other parameters.
        part: attribute that a model must have: `ctc`, or `joiner` of a transducer.
        called: what messages call that part.
        check: raises SecateurError for options that do not fit a token list.
    """

    prepare: Callable[..., Any]
    part: str = "ctc"
    called: str = "CTC head"
    check: Callable[[Mapping[str, Any], Sequence[str]], None] | None = None

    @property
    def options(self) -> list[str]:
        """The names of its options."""
        return list(inspect.signature(self.prepare).parameters)[1:]


def names() -> list[str]:
    """The names of all searches."""
    return sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py"))


def module(name: str) -> str:
    """The module of the search of this name. Raises SecateurError if there is none."""
    if name not in names():
        raise SecateurError(f"search type {name!r} is unknown; it must be one of {', '.join(names())}")
    return f"{__name__}.{name}"


def named(name: str) -> Search:
    """The search of this name. Raises SecateurError if there is none."""
    return importlib.import_module(module(name)).SEARCH
