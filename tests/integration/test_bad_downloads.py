"""Downloads that go wrong: one clear error, and nothing is written outside of their folder."""

import io
import json
import re
import tarfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from user_world import World, call


def tar_of(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[World], bytes]:
    """An archive with one member."""

    def make(world: World) -> bytes:
        with tarfile.open(world.path("made.tar"), "w") as tar:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, link, 0 if kind != tarfile.REGTYPE else 4
            tar.addfile(member, io.BytesIO(b"evil") if member.size else None)
        return world.path("made.tar").read_bytes()

    return make


ARCHIVES = {
    "a path upwards": (tar_of("../../outside"), r"member '../../outside' points outside the archive"),
    "an absolute path": (tar_of("/tmp/outside"), r"member '/tmp/outside' points outside the archive"),
    "a path upwards within": (tar_of("a/../../outside"), r"points outside the archive"),
    "a symbolic link": (tar_of("link", tarfile.SYMTYPE, "/etc"), r"member 'link' is a link or a device"),
    "a hard link": (tar_of("link", tarfile.LNKTYPE, "../x"), r"member 'link' is a link or a device"),
    "a device": (tar_of("null", tarfile.CHRTYPE), r"member 'null' is a link or a device"),
    "no archive": (lambda world: b"<html>please log in</html>", r"cannot be unpacked"),
}


@pytest.fixture
def served(monkeypatch):
    """A web server on this machine for one archive; the function that sets it and gives its address."""
    content = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content[-1])))
            self.end_headers()
            self.wfile.write(content[-1])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield lambda archive: content.append(archive) or f"http://127.0.0.1:{server.server_address[1]}/{{language}}.tar"
    server.shutdown()
    server.server_close()


def download(world: World, url: str) -> list[object]:
    options = {"recipe": "mls", "root": None, "url": url, "checksum": {}}
    return ["fetch_corpus", "--options", json.dumps(options), "--language", "fr", "--cache", world.path("downloads")]


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_is_one_clear_error_and_writes_nothing(name, world, served, capfd):
    make, message = ARCHIVES[name]
    before = {path for path in world.folder.parent.rglob("*")}
    assert call(*download(world, served(make(world)))) == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said and re.search("error: .*" + message, said), said
    new = {path for path in world.folder.parent.rglob("*") if path.is_file()} - before - {world.path("made.tar")}
    assert all(path.is_relative_to(world.path("downloads")) for path in new) and not Path("/tmp/outside").exists()
    assert not [path for path in new if path.name in ("outside", "link", "null")]


def test_without_a_network_a_download_is_one_clear_error(world, monkeypatch, capfd):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert call(*download(world, "http://127.0.0.1:9/{language}.tar")) == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said and re.search(r"error: http.*: broke off 5 times .* run again", said), said
