"""Options' classes, read from entries of a study that have other keys, too."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from secateur.core.options import Options, read


def part(kind: type[Options], entry: Mapping[str, Any], where: str) -> Options:
    """The options of an entry that are of `kind`. Raises SecateurError as `read` does; `where` is the entry's path."""
    return read(kind, {one.name: entry[one.name] for one in fields(kind) if one.name in entry}, where)  # type: ignore[arg-type]
