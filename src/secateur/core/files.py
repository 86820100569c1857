"""Writing files so that a reader never sees half of one, and reading the small formats that the jobs exchange."""

import csv
import errno
import glob
import hashlib
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.foreign import pointer

HOST = socket.gethostname()
SECONDS_TO_LITTER = 24 * 3600


@contextmanager
def written_aside(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` (a file or a folder); rename it to `path` when the block succeeds.

    It is on the disk before it gets its name: a machine that loses its power leaves the old one or the whole new one.
    Processes on several hosts may write the same file; the last one wins.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{HOST}-{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_litter(path)
        yield aside
        if path.is_dir():
            shutil.rmtree(path)
        if aside.is_dir():
            os.sync()
        else:
            with open(aside, "rb+") as stream:
                os.fsync(stream.fileno())
        os.replace(aside, path)
    except OSError as error:
        if not _of_writing(error, path, aside):
            raise
        raise _unwritten(path, error) from error
    finally:
        with suppress(OSError):  # tidying up must not hide what went wrong
            if aside.is_dir():
                shutil.rmtree(aside)
            else:
                aside.unlink(missing_ok=True)


def _clear_litter(path: Path) -> None:
    """Delete what killed processes left of earlier attempts to write `path`: of this host, or not touched for a day."""
    for litter in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        host, _, pid = litter.name.removeprefix(f".{path.name}.").removesuffix(".part").rpartition("-")
        with suppress(OSError):
            gone = host == HOST and pid.isdigit() and not Path("/proc", pid).exists()
            if gone or time.time() - litter.stat().st_mtime > SECONDS_TO_LITTER:
                shutil.rmtree(litter) if litter.is_dir() else litter.unlink()


def _of_writing(error: OSError, path: Path, aside: Path) -> bool:
    """Whether `path` could not be written, rather than some other file that the block works with."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO):
        return True
    if not isinstance(error.filename, str | os.PathLike):
        return False
    place = Path(error.filename)
    return place.is_relative_to(aside) or place.is_relative_to(path) or path.is_relative_to(place)


def _unwritten(path: str | os.PathLike, error: OSError) -> SecateurError:
    return SecateurError(
        f"{path}: could not be written ({error.strerror or error}); free some disk space or mend the permissions, "
        "then run the same command again"
    )


def check_writable(folder: str | os.PathLike) -> Path:
    """The folder that is there of `folder` and those above it, if one can write there. Raises SecateurError else."""
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            return place
    except OSError as error:
        raise _unwritten(folder, error) from error


def check_space(folder: str | os.PathLike, needed: int, what: str) -> None:
    """Raise SecateurError unless the disk that `folder` is on, or will be, has `needed` bytes free, naming `what`, and
    one can write there.
    """
    place = check_writable(folder)
    free = shutil.disk_usage(place).free
    if free < needed:
        raise SecateurError(
            f"{folder}: {free / 1e9:.3g} GB free on its disk, and {what} takes {needed / 1e9:.3g} GB; free some, or "
            "move the clone to a larger disk, and run the same command again"
        )


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` (UTF-8) to `path` in one step."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys. NaN is refused: readers in other languages choke on it."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file. Raises SecateurError naming the file when it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SecateurError(f"{path}: no such file; the job that makes it has not run") from error
    except ValueError as error:
        raise pointer(path) or SecateurError(f"{path}: not valid JSON ({error}); delete it and run again") from error


def write_tsv(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows` as tab-separated values with exactly these `columns`; None becomes an empty cell.

    Floats are written with `repr`, the shortest text that reads back to the same number.
    """

    def cell(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value).replace("\t", " ").replace("\n", " ")

    if len(set(columns)) < len(columns):
        raise ValueError(f"{path}: a column occurs twice in {list(columns)}")
    lines = ["\t".join(columns)]
    for row in rows:
        unknown = set(row) - set(columns)
        if unknown:
            raise ValueError(f"{path}: row has columns {sorted(unknown)} that the table lacks")
        lines.append("\t".join(cell(row.get(column)) for column in columns))
    write_text(path, "\n".join(lines) + "\n")


def read_tsv(path: str | os.PathLike) -> list[dict[str, str]]:
    """Read a table written by `write_tsv` as one dictionary of strings per row."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    except FileNotFoundError as error:
        raise SecateurError(f"{path}: no such file; the job that makes it has not run") from error


def identity(values: Any, files: Sequence[str | os.PathLike]) -> str:
    """A hash of what a run computes and from what: JSON-able `values`, and the contents of `files`."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for file in files:
        with open(file, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
