"""What a decoding has finished, kept for its next run: one file a test set, used as long as nothing behind it changed.

A job decodes all languages and splits. When it was killed, or when one joins, it decodes only what is missing.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import identity, read_json, write_json

SPLIT, LANGUAGE, SUB_MODEL = AXES = ("split", "language", "sub_model")
"""Columns that the rows of several test sets, or of sub-models, have."""
FOLDER = "parts"
"""Beside the files that are made from them."""

Rows = list[dict[str, Any]]


class Parts:
    """The finished test sets of a decoding.

    Args:
        output: the folder of the decoding.
        key: a hash of all that decides the rows beside the test set; None keeps nothing and uses nothing.
    """

    def __init__(self, output: Path, key: str | None):
        self.folder, self.key = output / FOLDER, key
        self._used: set[Path] = set()

    def get(self, name: str, files: Sequence[Path], make: Callable[[], Rows]) -> tuple[Rows, float]:
        """The rows of a test set, and the seconds that it took to make them: kept ones, or those of `make`.

        `files` are those of the test set that decide its rows, small ones.
        """
        file = self.folder / f"{name or 'all'}.json"
        self._used.add(file)
        key = self.key and identity(self.key, [file for file in files if file.exists()])
        if kept := self._kept(file, key):
            logging.info("%s: decoded before, kept", file)
            return kept["rows"], kept["seconds"]
        started = time.monotonic()
        rows = make()
        seconds = time.monotonic() - started
        if key:
            write_json(file, {"key": key, "seconds": seconds, "rows": rows})
        return rows, seconds

    def forget_others(self) -> None:
        """Delete what was kept of test sets that are no longer decoded."""
        for file in self.folder.glob("*.json"):
            if file not in self._used:
                file.unlink()

    @staticmethod
    def _kept(file: Path, key: str | None) -> dict[str, Any] | None:
        if key is None or not file.exists():
            return None
        try:
            found = read_json(file)
        except SecateurError:  # a part that cannot be read is made again
            return None
        return found if found.get("key") == key else None


def nested(values: Mapping[tuple[str, ...], Any]) -> Any:
    """Values by split, language and sub-model as nested mappings, without the axes that a decoding has not ('')."""
    found: dict[str, Any] = {}
    for names, value in values.items():
        *outer, last = [name for name in names if name] or [""]
        place = found
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return found.get("", found)
