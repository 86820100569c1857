import tarfile

import numpy as np
import pytest
import soundfile

from secateur.core.errors import SecateurError
from secateur.speech.corpora import fetched_record, mls
from secateur.speech.corpora.preparation import prepare

FORMATS = {"flac": {"format": "FLAC"}, "opus": {"format": "OGG", "subtype": "OPUS"}}


def make_mls(root, suffix="flac"):
    """The official layout of one language, with limited-supervision lists."""
    top = root / ("mls_french_opus" if suffix == "opus" else "mls_french")
    for split, count in (("train", 6), ("dev", 1), ("test", 1)):
        transcripts, segments = [], []
        for index in range(count):
            key = f"{10 + index}_200_{index:06d}"
            path = top / split / "audio" / str(10 + index) / "200" / f"{key}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.zeros(16000 * 2), 16000, **FORMATS[suffix])
            transcripts.append(f"{key}\tl'été numéro {split}\n")
            segments.append(f"{key}\thttp://example.org/book.mp3\t10.5\t{12.0 + index}\n")
        (top / split / "transcripts.txt").write_text("".join(transcripts))
        (top / split / "segments.txt").write_text("".join(segments))
    lists = top / "train" / "limited_supervision"
    for name, ids in (("9hr", (0, 1)), ("1hr/0", (2,)), ("1hr/5", (3,))):
        (lists / name).mkdir(parents=True)
        (lists / name / "handles.txt").write_text("".join(f"{10 + index}_200_{index:06d}\n" for index in ids))
    return root


TAGS = {"non_speech_tags": ["[noise]", "!SIL"], "unknown_tags": ["<unk>"]}


def entry(**options):
    """The configuration of a corpus, with the schema's defaults."""
    return {
        "recipe": "mls",
        "root": None,
        "url": None,
        "checksum": {},
        "subset": "full",
        "exclude": [],
        "non_speech_tags": ["[noise]", "!SIL"],
        "unknown_tags": ["<unk>"],
    } | options


def run(options, cache):
    mls.fetch(options, "fr", cache)
    return prepare(options, "fr", cache)


@pytest.mark.parametrize("suffix", ["flac", "opus"])
def test_official_layout(tmp_path, suffix):
    options = entry(root=str(make_mls(tmp_path / "root", suffix)))
    prepared = run(options, tmp_path / "cache")
    assert {name: len(members) for name, members in prepared.splits.items()} == {"train": 6, "dev": 1, "test": 1}
    third = prepared.splits["train"][2]
    assert (third.id, third.text, third.speaker, third.duration) == ("12_200_000002", "l'été numéro train", "12", 3.5)
    assert third.audio.endswith(f"train/audio/12/200/12_200_000002.{suffix}")


@pytest.mark.parametrize(("subset", "wanted"), [("9h", {0, 1}), ("1h", {2, 3}), ("10h", {0, 1, 2, 3})])
def test_limited_supervision(tmp_path, subset, wanted):
    prepared = run(entry(root=str(make_mls(tmp_path)), subset=subset), tmp_path / "cache")
    assert {int(u.id[-6:]) for u in prepared.splits["train"]} == wanted
    assert len(prepared.splits["test"]) == 1
    assert subset in prepared.source["notes"]


def test_without_segments_durations_come_from_the_headers(tmp_path):
    for path in make_mls(tmp_path).rglob("segments.txt"):
        path.unlink()
    prepared = run(entry(root=str(tmp_path)), tmp_path / "cache")
    assert {u.duration for members in prepared.splits.values() for u in members} == {2.0}


def test_every_missing_recording_is_named_with_its_utterance(tmp_path):
    options = entry(root=str(make_mls(tmp_path)))
    missing = [f"{10 + index}_200_{index:06d}" for index in (1, 4)]
    for key in missing:
        next((tmp_path / "mls_french/train").rglob(f"{key}.flac")).unlink()
    with pytest.raises(SecateurError, match=rf"(?s)2 utterances cannot be used.*{missing[0]}: .*{missing[1]}: "):
        run(options, tmp_path / "cache")
    assert len(run({**options, "exclude": missing}, tmp_path / "cache").splits["train"]) == 4


def test_an_edited_transcript_changes_the_record_of_fetching(tmp_path):
    options = entry(root=str(make_mls(tmp_path)))
    top = tmp_path / "mls_french"
    tables = {f"{split}/{name}" for split in ("train", "dev", "test") for name in ("transcripts.txt", "segments.txt")}
    lists = {f"train/limited_supervision/{name}/handles.txt" for name in ("9hr", "1hr/0", "1hr/5")}
    assert set(mls.inputs(options, "fr")) == {str(top / name) for name in tables | lists}
    assert mls.inputs(entry(url="http://localhost/{language}"), "fr") == mls.inputs(options, "de") == []
    mls.fetch(options, "fr", tmp_path / "cache")
    before = fetched_record(tmp_path / "cache", "fr").read_bytes()
    (top / "dev/transcripts.txt").write_text("10_200_000000\tmieux\n")
    mls.fetch(options, "fr", tmp_path / "cache")
    assert fetched_record(tmp_path / "cache", "fr").read_bytes() != before


def test_what_is_missing_is_named(tmp_path):
    options = entry(root=str(make_mls(tmp_path)))
    with pytest.raises(SecateurError, match="no folder mls_german or mls_german_opus"):
        mls.fetch(options, "de", tmp_path / "cache")
    with pytest.raises(SecateurError, match="neither root nor url"):
        mls.fetch(entry(), "fr", tmp_path / "cache")
    top = tmp_path / "mls_french"
    (top / "train/limited_supervision/9hr/handles.txt").unlink()
    with pytest.raises(SecateurError, match=r"9hr: no handles\.txt, which subset '9h' needs"):
        run({**options, "subset": "9h"}, tmp_path / "cache")
    next((top / "test").rglob("*.flac")).unlink()
    with pytest.raises(SecateurError, match=r"no 10_200_000000\.flac or 10_200_000000\.opus"):
        run(options, tmp_path / "cache")
    (top / "test/transcripts.txt").write_text("no tab here\n")
    with pytest.raises(SecateurError, match=r"transcripts\.txt:1: 1 columns, wanted 2"):
        run(options, tmp_path / "cache")


def test_download(tmp_path, server):
    root = make_mls(tmp_path / "source", "opus")
    with tarfile.open(tmp_path / "mls_french_opus.tar.gz", "w:gz") as tar:
        tar.add(root / "mls_french_opus", "mls_french_opus")
    server.files["/mls_french_opus.tar.gz"] = (tmp_path / "mls_french_opus.tar.gz").read_bytes()
    options = entry(url=f"{server.url}/mls_{{language}}_opus.tar.gz")
    prepared = run(options, tmp_path / "cache")
    assert len(prepared.splits["train"]) == 6 and len(prepared.source["archives"]["french"]["sha256"]) == 64
