"""A package with one file in it, put where the registries of the report look."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import secateur


@contextmanager
def dropping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, clear: Callable[[], None]
) -> Iterator[Callable[[str], None]]:
    """A function that writes `toy.py` with a text into the folder of a new package; all is as before afterwards.

    Args:
        folder: `reports` or `claims`.
        clear: lets the registry forget what it found.
    """
    package = f"slice_{tmp_path.name}"

    def put(text: str) -> None:
        place = tmp_path / "plugins" / package / folder
        place.mkdir(parents=True)
        (place / "toy.py").write_text(text)
        monkeypatch.setattr(secateur, "__path__", [*secateur.__path__, str(tmp_path / "plugins")])
        clear()

    yield put
    monkeypatch.undo()
    clear()
    for name in [name for name in sys.modules if name.startswith(f"secateur.{package}")]:
        del sys.modules[name]
