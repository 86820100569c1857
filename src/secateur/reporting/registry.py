"""Finds the tables and figures of the report: what the modules in the folders `reports` of all packages declare.

Such a module has tuples `TABLES` (of `Table`) and `FIGURES` (of `Figure`). A new one is found as soon as it is there.
It must be light, since the workflow reads it: the functions that do the work are named as text, `module:function`.
"""

import importlib
import re
from collections.abc import Iterable
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import secateur
from secateur.core.errors import SecateurError
from secateur.core.files import write_text

SECTIONS = {
    "claims": "What is claimed, and what was found",
    "data": "Data",
    "accuracy": "Word error rates",
    "systems": "All systems side by side",
    "masks": "Masks and pathways",
    "layers": "Layers on demand",
    "heads": "Attention heads and language models",
    "upstreams": "Self-supervised encoders",
    "time": "Decoding time",
    "size": "Size",
    "training": "Training",
}
"""The sections of the report in their order: what specs name, and what a reader sees."""


@cache
def modules(folder: str = "reports") -> tuple[str, ...]:
    """Names of the modules in the folders `folder` of all packages; those in `reports` declare tables and figures."""
    files = (file for root in secateur.__path__ for file in Path(root).glob(f"*/{folder}/*.py"))
    found = {f"secateur.{file.parts[-3]}.{folder}.{file.stem}" for file in files if file.stem != "__init__"}
    return tuple(sorted(found))


@cache
def declared(kind: str) -> tuple[Any, ...]:
    """Everything that is declared as `kind`, TABLES or FIGURES: by section, then by `order`, then by name.

    Raises SecateurError for an unknown section and for a name that two have.
    """
    return collected("reports", kind, "name", "section", SECTIONS)


def collected(folder: str, kind: str, name: str, group: str, groups: Iterable[str]) -> tuple[Any, ...]:
    """Everything that modules in folders `folder` declare as `kind`: by group, then by `order`, then by name.

    Args:
        name, group: the attributes that hold these.
        groups: all that there are, in their order.

    Raises SecateurError for an unknown group and for a name that two have.
    """
    places = {one: place for place, one in enumerate(groups)}
    found: dict[str, Any] = {}
    for module in modules(folder):
        for spec in getattr(importlib.import_module(module), kind, ()):
            called, of = getattr(spec, name), getattr(spec, group)
            if of not in places:
                raise SecateurError(f"{module}: {group} of {called}: expected one of {', '.join(places)}; got {of}")
            if called in found:
                raise SecateurError(f"{module}: the {name} {called} is taken in {kind}; give it another")
            found[called] = spec
    return tuple(
        sorted(found.values(), key=lambda spec: (places[getattr(spec, group)], spec.order, getattr(spec, name)))
    )


def resolve(text: str) -> Any:
    """What `module:name` names. Raises SecateurError if there is no such thing."""
    module, _, name = text.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (AttributeError, ValueError, ModuleNotFoundError) as error:
        raise SecateurError(f"expected module:function, got {text!r}: {error}") from error


def modules_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The modules that `module:name` texts name, for the fingerprint of a command that calls them."""
    return tuple(sorted({text.partition(":")[0] for text in texts if text}))


def caption_file(folder: str | Path, kind: str, name: str) -> Path:
    """Where `write_captions` writes the caption of a table or figure."""
    return Path(folder) / kind.lower() / f"{name}.rst"


def write_captions(folder: str | Path) -> None:
    """Write the captions of Snakemake's own report, as reStructuredText, where they are not there yet."""
    for kind in ("TABLES", "FIGURES"):
        for spec in declared(kind):
            file = caption_file(folder, kind, spec.name)
            text = f"**{spec.title}.** {restructured(spec.caption)}\n"
            if not file.is_file() or file.read_text(encoding="utf-8") != text:
                write_text(file, text)


def restructured(caption: str) -> str:
    """A caption as reStructuredText: code in backticks stays code, all else is printed as it is written."""
    parts = caption.split("`")
    plain = [re.sub(r"([\\|*_])", r"\\\1", part) for part in parts[::2]]
    code = [f"``{part}``" for part in parts[1::2]]
    return "".join(text for pair in zip_longest(plain, code, fillvalue="") for text in pair)


def clear() -> None:
    """Forget what was found: for tests that add modules."""
    modules.cache_clear()
    declared.cache_clear()
