import hashlib
import tarfile

import numpy as np
import pytest
import soundfile

from secateur.core.errors import SecateurError
from secateur.speech.corpora import librispeech, split_names
from secateur.speech.corpora.preparation import prepare

PARTS = ("train-clean-100", "train-clean-360", "dev-clean", "dev-other", "test-clean", "test-other")


def make_librispeech(root):
    """The official layout: LibriSpeech/{part}/{speaker}/{chapter}/ with FLAC files and one transcript file."""
    for number, part in enumerate(PARTS):
        speaker, chapter = 100 + number, 7000 + number
        folder = root / "LibriSpeech" / part / str(speaker) / str(chapter)
        folder.mkdir(parents=True)
        lines = []
        for index, text in enumerate(("HE HOPED THERE WOULD BE STEW", "DON'T STOP")):
            key = f"{speaker}-{chapter}-{index:04d}"
            soundfile.write(folder / f"{key}.flac", np.zeros(8000 * (index + 2)), 16000)
            lines.append(f"{key} {text}\n")
        (folder / f"{speaker}-{chapter}.trans.txt").write_text("".join(lines))
    return root


TAGS = {"non_speech_tags": ["[noise]", "!SIL"], "unknown_tags": ["<unk>"]}


def entry(**options):
    """The configuration of a corpus, with the schema's defaults."""
    parts = {
        "train": ["train-clean-100"],
        "dev": ["dev-clean", "dev-other"],
        "test": ["test-clean", "test-other"],
    }
    return (
        {
            "recipe": "librispeech",
            "root": None,
            "url": None,
            "checksum": {},
            "exclude": [],
            "non_speech_tags": ["[noise]", "!SIL"],
            "unknown_tags": ["<unk>"],
        }
        | parts
        | options
    )


def run(options, cache):
    librispeech.fetch(options, "en", cache)
    return prepare(options, "en", cache)


@pytest.mark.parametrize("below", ["", "LibriSpeech"])
def test_official_layout(tmp_path, below):
    options = entry(root=str(make_librispeech(tmp_path / "root") / below))
    prepared = run(options, tmp_path / "cache")
    assert (
        list(prepared.splits)
        == split_names(options | {"recipe": "librispeech"})
        == ["train", "dev", "test-clean", "test-other"]
    )
    first = prepared.splits["train"][0]
    assert (first.id, first.text, first.speaker, first.duration) == (
        "100-7000-0000",
        "he hoped there would be stew",
        "100",
        1.0,
    )
    assert first.audio.endswith("train-clean-100/100/7000/100-7000-0000.flac")
    assert [u.text for u in prepared.splits["test-other"]] == ["he hoped there would be stew", "don't stop"]
    assert {u.speaker for u in prepared.splits["dev"]} == {"102", "103"}


def test_parts_are_configurable(tmp_path):
    options = entry(
        root=str(make_librispeech(tmp_path)),
        train=["train-clean-100", "train-clean-360"],
        dev=["dev-other"],
        test=["test-clean"],
    )
    prepared = run(options, tmp_path / "cache")
    assert {name: len(members) for name, members in prepared.splits.items()} == {"train": 4, "dev": 2, "test-clean": 2}


def test_every_unreadable_recording_is_named_with_its_utterance(tmp_path):
    options = entry(root=str(make_librispeech(tmp_path)))
    for path in (tmp_path / "LibriSpeech/train-clean-100").rglob("*.flac"):
        path.write_text("no audio")
    with pytest.raises(SecateurError, match=r"(?s)2 utter.*100-7000-0000: .*0000\.flac.*100-7000-0001: .*0001\.flac"):
        run(options, tmp_path / "cache")
    prepared = run({**options, "exclude": ["100-7000-0000", "100-7000-0001"]}, tmp_path / "cache")
    assert prepared.splits["train"] == [] and len(prepared.splits["dev"]) == 4
    assert {(e.utterance, e.reason) for e in prepared.dropped} == {
        ("100-7000-0000", "excluded"),
        ("100-7000-0001", "excluded"),
    }


def test_a_missing_part_is_named(tmp_path):
    options = entry(root=str(make_librispeech(tmp_path)), train=["train-other-500"])
    with pytest.raises(SecateurError, match="no folder train-other-500"):
        librispeech.fetch(options, "en", tmp_path / "cache")
    with pytest.raises(SecateurError, match="neither root nor url"):
        librispeech.fetch(entry(), "en", tmp_path / "cache")
    with pytest.raises(SecateurError, match="'fr'"):
        librispeech.fetch(options, "fr", tmp_path / "cache")


def test_download(tmp_path, server):
    root = make_librispeech(tmp_path / "source")
    url = f"{server.url}/12/{{part}}.tar.gz"
    options = entry(url=url, train=["train-clean-100"], dev=["dev-clean"], test=["test-clean"])
    for part in ("train-clean-100", "dev-clean", "test-clean"):
        with tarfile.open(tmp_path / f"{part}.tar.gz", "w:gz") as tar:
            tar.add(root / "LibriSpeech" / part, f"LibriSpeech/{part}")
        body = (tmp_path / f"{part}.tar.gz").read_bytes()
        server.files[f"/12/{part}.tar.gz"] = body
        options["checksum"][f"{part}.tar.gz"] = hashlib.md5(body).hexdigest()
    prepared = run(options, tmp_path / "cache")
    assert [u.text for u in prepared.splits["test-clean"]] == ["he hoped there would be stew", "don't stop"]
    assert set(prepared.source["archives"]) == {"train-clean-100", "dev-clean", "test-clean"}
    run(options, tmp_path / "cache")
    assert len(server.requests) == 3
