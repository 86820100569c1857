"""Downloads that survive a broken connection, and unpacking that never writes outside its folder."""

import hashlib
import http.client
import logging
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from secateur.core.errors import SecateurError
from secateur.core.files import check_space, read_json, write_json, written_aside
from secateur.core.foreign import pointer

CHUNK = 1 << 20
HASHES = {32: "md5", 64: "sha256"}  # by length in hexadecimal digits


def fetch_archive(url: str, checksums: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Download the tar archive at `url` and unpack it as `folder`, once; return {"url", "sha256"}.

    `checksums` maps the archive's file name to its MD5 or SHA-256 (a name that it lacks is not checked, only recorded).
    The archive is deleted after it is unpacked.
    """
    record = folder.with_name(f"{folder.name}.json")
    if folder.is_dir() and record.exists():
        return read_json(record)
    name = PurePosixPath(urllib.parse.urlsplit(url).path).name
    archive = folder.with_name(name)
    download(url, archive, checksums.get(name))
    with written_aside(folder) as aside:
        extract(archive, aside)
    found = {"url": url, "sha256": file_hash(archive, "sha256")}
    write_json(record, found)
    archive.unlink()
    return found


def download(url: str, path: Path, checksum: str | None = None, attempts: int = 5, wait: float = 2.0) -> None:
    """Download `url` (http or https) to `path`; nothing happens if `path` exists.

    What has arrived is kept beside it as `….part`, so a broken download, also of an earlier run, goes on where it
    stopped (HTTP Range). `checksum` is an MD5 or SHA-256 in hexadecimal. Raises SecateurError when all `attempts` fail
    (`wait` seconds after the first, twice as many after each), or the checksum is another one.
    """
    if path.exists():
        return
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise SecateurError(f"url {url!r}: only http and https can be downloaded; for files at hand set `root`")
    if checksum and len(checksum) not in HASHES:
        raise SecateurError(
            f"checksum {checksum!r} of {url}: it has {len(checksum)} digits; write an MD5 (32 hexadecimal digits) or a "
            "SHA-256 (64)"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for attempt in range(attempts):
        try:
            _continue(url, part)
            break
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise SecateurError(f"{url}: the server answers {error.code} {error.reason}; mend the url") from error
            problem: Exception = error
        except (OSError, http.client.HTTPException) as error:
            problem = error
        logging.warning("%s: %s; attempt %d of %d", url, problem, attempt + 1, attempts)
        if attempt + 1 == attempts:
            raise SecateurError(
                f"{url}: broke off {attempts} times ({problem}); {part} is kept: run again to go on from there"
            ) from problem
        time.sleep(wait * 2**attempt)
    if checksum:
        found = file_hash(part, HASHES[len(checksum)])
        if found != checksum.lower():
            part.unlink()
            raise SecateurError(
                f"{url}: {HASHES[len(checksum)]} is {found}, wanted {checksum}; the file was deleted: run again, or "
                "mend the checksum in the configuration"
            )
    part.replace(path)
    _validator_file(part).unlink(missing_ok=True)


def extract(archive: Path, folder: Path) -> None:
    """Unpack a tar archive (plain, gz, bz2 or xz) into the new folder `folder`.

    Only plain files and folders inside `folder` are written. Raises SecateurError, naming the member, for an absolute
    name, a name with `..`, a link, a device or anything else; and for a broken archive.
    """
    folder.mkdir(parents=True)
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise SecateurError(f"{archive}: member {member.name!r} points outside the archive; do not use it")
                target = folder / name
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                elif member.isreg():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with tar.extractfile(member) as source, open(target, "xb") as stream:
                        shutil.copyfileobj(source, stream, CHUNK)
                else:
                    raise SecateurError(f"{archive}: member {member.name!r} is a link or a device; do not use it")
    except (tarfile.TarError, EOFError, FileExistsError) as error:
        raise pointer(archive) or SecateurError(
            f"{archive}: cannot be unpacked ({error}); delete the file and run again"
        ) from error


def file_hash(path: Path, algorithm: str) -> str:
    """Hexadecimal hash of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _continue(url: str, part: Path) -> None:
    """Append to `part` what it still lacks of `url`; start again if the server's file is another one by now."""
    validator = _validator_file(part)
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "secateur", "Accept-Encoding": "identity"})
    if have and validator.exists():
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", validator.read_text(encoding="utf-8"))
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{have}":
            return  # everything had arrived
        raise
    with response:
        if response.status != 206:
            have = 0
            tag = response.headers.get("ETag", "")
            tag = response.headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
            if tag:
                validator.write_text(tag, encoding="utf-8")
            else:
                validator.unlink(missing_ok=True)
        length = response.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        if total is not None:
            check_space(part.parent, total - have, f"the rest of {url}")
        with (
            open(part, "ab" if have else "wb") as stream,
            tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=None) as progress,
        ):
            while chunk := response.read(CHUNK):
                stream.write(chunk)
                progress.update(len(chunk))
            size = stream.tell()
            stream.flush()
            os.fsync(stream.fileno())
    if total is not None and size != total:
        raise ConnectionError(f"{size} of {total} bytes arrived")


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".validator")
