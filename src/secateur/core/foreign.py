"""What a file or folder is that cannot be read as what it should be, and what to do about it: words for errors."""

import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from secateur.core.errors import SecateurError

POINTER = b"version https://git-lfs.github.com/spec/"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
ARCHIVES = (".deb", ".gz", ".tar", ".tgz", ".bz2", ".xz", ".zip")
LOOKED_AT = 64
"""Bytes at the beginning of a file that tell what it is."""

# Formats that libsndfile does not read, by their first bytes (from a given position) or by the file's name.
CONTAINERS = (
    (4, b"ftyp", "an MPEG-4 file (AAC or ALAC, as in m4a and mp4)"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM file"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "a Windows Media file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"\xff\xf1", "an AAC file"),
    (0, b"\xff\xf9", "an AAC file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b".RMF", "a RealMedia file"),
    (0, b"FLV", "a Flash video"),
)
PACKED = ((0, b"PK\x03\x04", "a zip archive"), (0, b"\x1f\x8b", "packed with gzip"), (0, b"BZh", "packed with bzip2"))


def pointer(path: str | PathLike) -> SecateurError | None:
    """The error to raise if the file is a pointer of Git LFS, which stands where the file itself should be."""
    if _begins(path).startswith(POINTER):
        return SecateurError(
            f"{path}: a pointer of Git LFS, not the file itself; fetch it: `git lfs pull` in the clone that it is "
            "from, or download the file again"
        )
    return None


def no_folder(path: str | PathLike, key: str) -> SecateurError:
    """The error to raise because the path that the configuration's `key` names is no folder."""
    path = Path(path)
    if path.is_file():
        archive = path.name.endswith(ARCHIVES)
        remedy = "unpack it, and name the folder" if archive else "name the folder that it is in"
        return SecateurError(f"{path}: a file, but {key} must name a folder; {remedy}")
    if path.is_symlink():
        return SecateurError(
            f"{path}: a link to {path.readlink()}, which is not there, but {key} names it; mend either"
        )
    remedy = "mend the path"
    if like_hub_id(path):
        remedy = (
            "it looks like an id of a hub of models and data, from which nothing is downloaded here: download it once, "
            f"e.g. `hf download {path} --local-dir {path.name}`, and name that folder"
        )
    return SecateurError(f"{path}: no such folder, but {key} names it; {remedy}")


def like_hub_id(path: str | PathLike) -> bool:
    """Whether what should be a folder is none, and looks like the name of a model or a data set in a hub."""
    path = Path(path)
    return bool(HUB_ID.fullmatch(str(path))) and not path.parent.exists()


def no_recording(path: str | PathLike, why: object = "") -> SecateurError:
    """The error to raise for a recording that is not there or cannot be read as audio, with the remedy that helps."""
    name, path = str(path), Path(path)
    if path.is_file():
        return pointer(path) or SecateurError(f"{name}: {_no_audio(path, str(why))}")
    if re.search(r"\.ark:\d+(\[.*\])?$", name):
        return SecateurError(
            f"{name}: a recording inside an archive of Kaldi's, which is not read here; write them to files once, e.g. "
            "`wav-copy scp:wav.scp scp:new.scp` with lines `ID PATH.wav` in new.scp, and use new.scp as wav.scp"
        )
    if re.match(r"\w+:/", name):
        return SecateurError(f"{name}: an address, and nothing is downloaded here; download it, and put its path here")
    if path.is_dir():
        return SecateurError(f"{name}: a folder, not a recording; mend the path")
    if path.is_symlink():
        return SecateurError(
            f"{name}: a link to {path.readlink()}, which is not there; fetch that (`git annex get`, if the data is "
            "git-annex's) or mend the link"
        )
    return SecateurError(f"{name}: no such recording; fetch it again or mend the path")


def _no_audio(path: Path, why: str) -> str:
    for kind in _kinds(path, CONTAINERS):
        return (
            f"{kind}, which is not read here; convert it once, e.g. `ffmpeg -i {path.name} -ac 1 -ar 16000 "
            f"{path.stem}.flac`, and use the new file"
        )
    for kind in _kinds(path, PACKED):
        return f"{kind}; unpack it, and use what is inside"
    beginning = _begins(path)
    if beginning.startswith(b"NIST_1A") or beginning.startswith(b"ajkg"):
        return f"a packed SPHERE file; unpack it once, e.g. `sph2pipe -f wav {path.name} {path.stem}.wav`"
    if beginning.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "a web page, not a recording: its download went wrong; fetch it again"
    return f"cannot be read as audio ({why or 'damaged'}); fetch it again or exclude its utterances"


def _kinds(path: Path, table: tuple[tuple[int, bytes, str], ...]) -> Iterator[str]:
    beginning = _begins(path)
    return (kind for start, mark, kind in table if beginning[start : start + len(mark)] == mark)


def _begins(path: str | PathLike) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read(LOOKED_AT)
    except OSError:
        return b""
