import gzip
import os
import subprocess

import pytest

from secateur.core.errors import SecateurError
from secateur.core.files import read_json
from secateur.speech.corpora import asterisk, fetched_record

SECOND = 8000  # bytes of G.722

# Enough lines that share words, one with each of the faults that the packages have.
LINES = {
    "press-one": ("Press 1 for the next message.", 2.0),
    "press-two": ("Press 2 for the last message.", 2.0),
    "press-both": ("Press 1 for the last message.", 2.0),
    "next-two": ("For the next message press 2.", 2.0),
    "digits/1": ("one", 0.6),
    "letters/O": ("O", 0.6),
    "short": ("oh", 0.1),
    "empty": ("", 1.0),
    "beep": ("a simple beep", 0.4),
    "tones": ("[ascending tones]", 0.4),
    "silence/1": ("(1 second of silence)", 1.0),
    "dash": ("dash [-]", 0.8),
    "too-fast": ("Press 1 for the next message, then press 2 for the last message.", 0.5),
    "novel": ("Press 1 for the last message and then for the next message.", 50.0),
    "absent": ("There is no recording of this.", None),
    "unsaid": (None, 1.0),
}


def make_tree(root, language="en"):
    """The contents of the two packages, as dpkg unpacks them."""
    sounds = root / f"usr/share/asterisk/sounds/{language}_US_f_Ada"
    texts = root / f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
    texts.parent.mkdir(parents=True)
    lines = [f"{key}: {text}\n" for key, (text, _) in LINES.items() if text is not None]
    with gzip.open(texts, "wt", encoding="utf-8-sig") as stream:
        stream.writelines(["; Core sounds\n", "\n", *lines])
    for key, (_, seconds) in LINES.items():
        if seconds is not None:
            path = sounds / f"{key.replace('O', 'o')}.g722"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(int(seconds * SECOND)))
    return root


def make_package(folder, name, tree, part):
    """Build a real .deb that holds `part` of `tree`."""
    staging = folder / f"staging-{name}"
    (staging / "DEBIAN").mkdir(parents=True)
    (staging / part).parent.mkdir(parents=True)
    (tree / part).rename(staging / part)
    (staging / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 9.9-1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: test\n"
    )
    archive = folder / f"{name}_9.9-1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", staging, archive], check=True, capture_output=True)
    return archive


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    tree = make_tree(folder / "tree")
    make_package(folder, "asterisk-core-sounds-en", tree, "usr/share/doc")
    make_package(folder, "asterisk-core-sounds-en-g722", tree, "usr/share/asterisk")
    return folder


def options(root, **more):
    sizes = {"dev_utterances": 1, "test_utterances": 1}
    return {"recipe": "asterisk", "root": root and str(root), **sizes, "max_seconds": 45, "exclude": [], **more}


def test_prepare(tmp_path):
    asterisk.fetch(options(make_tree(tmp_path / "tree")), "en", tmp_path / "cache")
    prepared = asterisk.prepare(options(tmp_path / "tree"), "en", tmp_path / "cache")
    utterances = {u.id: u for split in prepared.splits.values() for u in split}
    assert {key: u.text for key, u in utterances.items()} == {
        "en-press-one": "press one for the next message",
        "en-press-two": "press two for the last message",
        "en-press-both": "press one for the last message",
        "en-next-two": "for the next message press two",
        "en-digits_1": "one",
        "en-letters_O": "o",
        "en-dash": "dash",
    }
    assert {entry.utterance: entry.reason for entry in prepared.dropped} == {
        "en-short": "shorter than 0.2 s",
        "en-empty": "no transcript",
        "en-beep": "not speech",
        "en-tones": "not speech",
        "en-silence_1": "not speech",
        "en-too-fast": "duration does not fit the transcript",
        "en-novel": "longer than max_seconds",
        "en-absent": "no recording",
        "en-unsaid": "recording without transcript",
    }
    assert [len(prepared.splits[split]) for split in asterisk.SPLITS] == [5, 1, 1]
    one = utterances["en-digits_1"]
    assert (one.duration, one.speaker, one.language) == (0.6, "ada", "en")
    assert one.audio.endswith("en_US_f_Ada/digits/1.g722")
    assert prepared.source["synthetic"] is False and prepared.source["licence"] == "CC BY-SA 3.0"


@pytest.mark.parametrize(
    ("language", "raw", "wanted"),
    [
        ("en", "press * to toggle, # to exit", ("press star to toggle pound to exit", "")),
        ("it", "E' in uso.", ("è in uso", "")),
        ("en", "3D audio enabled", ("three d audio enabled", "")),
        ("en", "Login incorrect.  Mailbox?", ("login incorrect mailbox", "")),
        ("es", "En que carpeta desea guardar el mensaje ?", ("en que carpeta desea guardar el mensaje", "")),
        ("it", "Cambia verso quale cartella? Prego", ("cambia verso quale cartella prego", "")),
        ("it", "La conferenza ? piena.", ("", "accent lost to a question mark")),
        ("it", "il tempo sar? esattamente..", ("", "accent lost to a question mark")),
        ("it", "[!] punto esclamativo", ("punto esclamativo", "")),
        ("it", "Spiacente, [quello] non è valido", ("", "remark in brackets: unclear what is spoken")),
        ("fr", "(ahooga)", ("", "not speech")),
        ("en", "<beep ascending>", ("", "not speech")),
        ("en", "dial 500 now", ("", "digits that may be read in several ways")),
        ("en", "H.323", ("", "digits that may be read in several ways")),
        ("es", "h-323", ("", "digits that may be read in several ways")),
        ("en", "visit www.asterisk.org.", ("", "internet address")),
        ("it", "attivare/disattivare", ("", "symbol that may be read in several ways")),
        ("it", "eliminato vm-then-pound: poi premere", ("", "two entries on one line")),
        ("en", "themselves as:", ("themselves as", "")),
    ],
)
def test_transcripts(language, raw, wanted):
    assert asterisk.transcript("some-id", raw, language, {"vm-then-pound": 1, "as": 1}) == wanted


def test_an_id_with_two_transcripts_is_dropped(tmp_path):
    tree = make_tree(tmp_path / "tree")
    texts = next(tree.rglob("*.txt.gz"))
    with gzip.open(texts, "at", encoding="utf-8") as stream:
        stream.write("digits/1: eleven\n")
    asterisk.fetch(options(tree), "en", tmp_path / "cache")
    dropped = asterisk.prepare(options(tree), "en", tmp_path / "cache").dropped
    assert [e.detail for e in dropped if e.reason == "id occurs twice"] == ["one", "eleven"]


def test_packages_in_root_are_unpacked_once_and_recorded(tmp_path, packages):
    asterisk.fetch(options(packages), "en", tmp_path)
    record = read_json(fetched_record(tmp_path, "en"))
    assert record["versions"] == {"asterisk-core-sounds-en": "9.9-1", "asterisk-core-sounds-en-g722": "9.9-1"}
    sums = subprocess.run(["sha256sum", *packages.glob("*.deb")], capture_output=True, text=True, check=True).stdout
    assert all(digest in sums for digest in record["sha256"].values()) and len(record["sha256"]) == 2
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "en").rglob("*.g722")}
    asterisk.fetch(options(packages), "en", tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "en").rglob("*.g722")}
    assert len(asterisk.prepare(options(packages), "en", tmp_path).splits["train"]) == 5


def fake_apt(folder, monkeypatch, body):
    """Put an `apt-get` before the real one; `body` is its shell script."""
    folder.mkdir()
    (folder / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{body}\n')
    (folder / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "calls"


def test_download_with_the_lists_of_the_system(tmp_path, packages, monkeypatch):
    calls = fake_apt(tmp_path / "bin", monkeypatch, f"cp {packages}/*.deb .")
    for _ in range(2):
        asterisk.fetch(options(None), "en", tmp_path / "cache")
    assert len(calls.read_text().splitlines()) == 1  # the second time there is nothing to do
    assert "download asterisk-core-sounds-en asterisk-core-sounds-en-g722" in calls.read_text()
    assert not list((tmp_path / "cache/en").glob(".*"))
    assert asterisk.prepare(options(None), "en", tmp_path / "cache").splits["test"]


def test_download_without_lists_updates_private_ones(tmp_path, packages, monkeypatch):
    body = f"""case "$*" in
    *Lists*update) lists=${{5#*Lists=}}; test -d "$lists/partial";;
    *Lists*download*) cp {packages}/*.deb .;;
    *) echo "E: Unable to locate package" >&2; exit 100;;
    esac"""
    calls = fake_apt(tmp_path / "bin", monkeypatch, body)
    asterisk.fetch(options(None), "en", tmp_path / "cache")
    lines = calls.read_text().splitlines()
    assert len(lines) == 3 and f"Dir::State::Lists={tmp_path}/cache/en/" in lines[1] and lines[1].endswith("update")


def test_without_apt_both_ways_out_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SecateurError) as error:
        asterisk.fetch(options(None), "fr", tmp_path / "cache")
    assert "apt-get: not on this machine" in str(error.value)
    assert "root" in str(error.value) and "asterisk-core-sounds-fr-g722" in str(error.value)
    assert "make results STUDY=synthetic" in str(error.value)


def test_apts_own_message_is_passed_on(tmp_path, monkeypatch):
    fake_apt(tmp_path / "bin", monkeypatch, 'echo "E: Temporary failure resolving" >&2; exit 100')
    with pytest.raises(SecateurError, match=r"Temporary failure resolving.*STUDY=synthetic"):
        asterisk.fetch(options(None), "en", tmp_path / "cache")


def test_a_root_without_the_files(tmp_path):
    (tmp_path / "root").mkdir()
    with pytest.raises(SecateurError, match=r"root: no core-sounds-en\.txt\.gz"):
        asterisk.fetch(options(tmp_path / "root"), "en", tmp_path / "cache")
    with pytest.raises(SecateurError, match="nowhere: no such folder"):
        asterisk.fetch(options(tmp_path / "nowhere"), "en", tmp_path / "cache")


def test_a_broken_package_is_named(tmp_path, packages):
    for archive in packages.glob("*.deb"):
        (tmp_path / archive.name).write_bytes(archive.read_bytes()[:1000])
    with pytest.raises(SecateurError, match=r"asterisk-core-sounds-en_9\.9-1_all\.deb: cannot be unpacked"):
        asterisk.fetch(options(tmp_path), "en", tmp_path / "cache")
    assert not (tmp_path / "cache/en/asterisk-core-sounds-en_9.9-1_all").exists()


def test_a_language_that_is_not_there(tmp_path):
    with pytest.raises(SecateurError, match=r"'nl'.*choose from en, es, fr, it, ru"):
        asterisk.fetch(options(None), "nl", tmp_path)
