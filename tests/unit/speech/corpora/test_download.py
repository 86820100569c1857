import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from secateur.core.errors import SecateurError
from secateur.speech.corpora.download import download, extract, fetch_archive

BODY = bytes(range(256)) * 4000  # what the server of conftest.py has at /a.bin
MD5, SHA256 = hashlib.md5(BODY).hexdigest(), hashlib.sha256(BODY).hexdigest()


def only(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("checksum", [None, MD5, SHA256.upper()])
def test_whole_file(tmp_path, server, checksum):
    download(f"{server.url}/a.bin", tmp_path / "a.bin", checksum)
    assert (tmp_path / "a.bin").read_bytes() == BODY and only(tmp_path) == ["a.bin"]
    download(f"{server.url}/a.bin", tmp_path / "a.bin", checksum)
    assert server.requests == [None]


def test_goes_on_where_the_connection_broke(tmp_path, server):
    server.cuts = 3
    download(f"{server.url}/a.bin", tmp_path / "a.bin", SHA256, wait=0)
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert server.requests == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]


def test_goes_on_in_a_later_run(tmp_path, server):
    server.cuts = 2
    with pytest.raises(SecateurError, match=r"broke off 2 times \(200000 of 1024000 bytes arrived\).*run again"):
        download(f"{server.url}/a.bin", tmp_path / "a.bin", attempts=2, wait=0)
    assert not (tmp_path / "a.bin").exists()
    download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == BODY and server.requests[-1] == "bytes=200000-"


def test_starts_again_if_the_servers_file_has_changed(tmp_path, server):
    server.cuts = 1
    with pytest.raises(SecateurError):
        download(f"{server.url}/a.bin", tmp_path / "a.bin", attempts=1)
    server.files["/a.bin"] = BODY[::-1]
    download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == BODY[::-1]


def test_a_server_without_ranges(tmp_path, server):
    server.cuts, server.ranges = 1, False
    download(f"{server.url}/a.bin", tmp_path / "a.bin", SHA256, wait=0)
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_everything_had_arrived_but_the_renaming(tmp_path, server):
    (tmp_path / "a.bin.part").write_bytes(BODY)
    (tmp_path / "a.bin.part.validator").write_text(f'"{MD5}"')
    download(f"{server.url}/a.bin", tmp_path / "a.bin", SHA256)
    assert server.requests == [f"bytes={len(BODY)}-"] and only(tmp_path) == ["a.bin"]


def test_a_wrong_checksum_leaves_nothing(tmp_path, server):
    with pytest.raises(SecateurError, match=f"sha256 is {SHA256}, wanted {'0' * 64}"):
        download(f"{server.url}/a.bin", tmp_path / "a.bin", "0" * 64)
    assert not (tmp_path / "a.bin").exists() and not (tmp_path / "a.bin.part").exists()


def test_errors_that_no_repetition_mends(tmp_path, server):
    with pytest.raises(SecateurError, match="answers 404"):
        download(f"{server.url}/none", tmp_path / "none")
    assert len(server.requests) == 1
    with pytest.raises(SecateurError, match="only http and https"):
        download("file:///etc/hostname", tmp_path / "x")
    with pytest.raises(SecateurError, match="it has 3 digits"):
        download(f"{server.url}/a.bin", tmp_path / "x", "abc")


KINDS = (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)


def archive(path, members):
    """A gzipped tar of (name, content or tar type) pairs."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if content not in KINDS:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = content, "/etc/hostname"
                tar.addfile(member)
    return path


def test_extract(tmp_path):
    members = [("top", tarfile.DIRTYPE), ("top/a.txt", b"one"), ("./other/b.txt", b"two")]
    extract(archive(tmp_path / "a.tar.gz", members), tmp_path / "out")
    files = {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in (tmp_path / "out").rglob("*.txt")}
    assert files == {"top/a.txt": b"one", "other/b.txt": b"two"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("../evil", b"x", "'../evil' points outside"),
        ("a/../../evil", b"x", "points outside"),
        ("/tmp/evil", b"x", "'/tmp/evil' points outside"),
        ("link", tarfile.SYMTYPE, "'link' is a link or a device"),
        ("hard", tarfile.LNKTYPE, "'hard' is a link or a device"),
        ("device", tarfile.CHRTYPE, "'device' is a link or a device"),
        ("pipe", tarfile.FIFOTYPE, "'pipe' is a link or a device"),
    ],
)
def test_extract_refuses(tmp_path, name, content, message):
    path = archive(tmp_path / "a.tar.gz", [("fine", b"x"), (name, content)])
    with pytest.raises(SecateurError, match=message):
        extract(path, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("evil")) and not Path("/tmp/evil").exists()


def test_extract_a_broken_archive(tmp_path):
    whole = archive(tmp_path / "whole.tar.gz", [("a", bytes(100_000)), ("b", b"x")]).read_bytes()
    for name, content in (("cut.tar.gz", whole[: len(whole) // 2]), ("text.tar.gz", b"no archive")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SecateurError, match=f"{name}: cannot be unpacked"):
            extract(tmp_path / name, tmp_path / f"out-{name}")


def test_fetch_archive_once(tmp_path, server):
    body = archive(tmp_path / "a.tar.gz", [("top/a.txt", b"one")]).read_bytes()
    server.files["/x/a.tar.gz"] = body
    checksums = {"a.tar.gz": hashlib.md5(body).hexdigest()}
    record = {"url": f"{server.url}/x/a.tar.gz", "sha256": hashlib.sha256(body).hexdigest()}
    for _ in range(2):
        assert fetch_archive(record["url"], checksums, tmp_path / "cache" / "part") == record
    assert (tmp_path / "cache/part/top/a.txt").read_bytes() == b"one"
    assert server.requests == [None] and only(tmp_path / "cache") == ["part", "part.json"]
