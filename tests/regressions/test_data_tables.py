"""Tables of data directories as other systems and editors write them: marks, encodings, Unicode's forms."""

import unicodedata

import numpy as np
import pytest
import soundfile

from secateur.core.errors import SecateurError
from secateur.speech import corpora
from secateur.speech.corpora import preparation
from secateur.speech.datadir import read_table

SPLITS = ("train", "dev", "test")
KEY = unicodedata.normalize("NFC", "é")
TABLES = ("wav.scp", "text", "utt2spk")


@pytest.fixture
def options(tmp_path):
    """A corpus whose ids have an accent, every table as its author's system wrote it: UTF-8, composed letters."""
    soundfile.write(tmp_path / "a.wav", np.full(16000, 0.1), 16000)
    for split in SPLITS:
        folder = tmp_path / "root" / "en" / split
        folder.mkdir(parents=True)
        for table, value in zip(TABLES, (tmp_path / "a.wav", "hello", "s"), strict=True):
            lines = "".join(f"{split}-{name} {value}\n" for name in ("a", KEY))
            (folder / table).write_text(lines, encoding="utf-8")
    splits = {split: split for split in SPLITS}
    options = {"recipe": "kaldi", "root": str(tmp_path / "root"), "splits": splits, "normalise": True, "channel": None}
    return options | {"exclude": [], "non_speech_tags": [], "unknown_tags": []}


def prepared(options, tmp_path):
    corpora.recipe("kaldi").fetch(options, "en", tmp_path / "cache")
    return preparation.prepare(options, "en", tmp_path / "cache")


def rewrite(tmp_path, table, change):
    path = tmp_path / "root/en/dev" / table
    path.write_bytes(change(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("table", TABLES)
def test_a_byte_order_mark_is_read_over(options, tmp_path, table):
    rewrite(tmp_path, table, lambda text: text.encode("utf-8-sig"))
    found = prepared(options, tmp_path).splits["dev"]
    assert [(utterance.id, utterance.text) for utterance in found] == [("dev-a", "hello"), (f"dev-{KEY}", "hello")]
    joined = "".join(
        f"\ufeff{line}\n" for line in (tmp_path / "root/en/dev" / table).read_text("utf-8-sig").split("\n")
    )
    (tmp_path / "root/en/dev" / table).write_text(joined, encoding="utf-8")  # files with marks, joined
    assert prepared(options, tmp_path).splits["dev"] == found


@pytest.mark.parametrize("table", TABLES)
def test_bytes_of_another_encoding_are_one_error_with_file_and_line(options, tmp_path, table):
    rewrite(tmp_path, table, lambda text: text.encode("latin-1"))
    with pytest.raises(
        SecateurError, match=rf"dev/{table}:2: not UTF-8 \(byte 0xe9\); convert the file, .*LATIN1.*iconv"
    ):
        prepared(options, tmp_path)
    rewrite_bytes = (tmp_path / "root/en/dev" / table).read_bytes().decode("latin-1").encode("utf-16")
    (tmp_path / "root/en/dev" / table).write_bytes(rewrite_bytes)
    with pytest.raises(
        SecateurError, match=rf"dev/{table}:1: not UTF-8 \(byte 0xff\); .* from UTF-16: `iconv -f UTF-16"
    ):
        prepared(options, tmp_path)


@pytest.mark.parametrize("table", TABLES)
def test_ids_in_another_form_of_unicode_are_one_error_with_file_and_line(options, tmp_path, table):
    rewrite(tmp_path, table, lambda text: unicodedata.normalize("NFD", text).encode())
    with pytest.raises(SecateurError, match=r"looks like that of .*, but is other characters .*1 ids .*uconv") as error:
        prepared(options, tmp_path)
    assert f"{tmp_path}/root/en/dev/{table}:2" in str(error.value) and "\n" not in str(error.value)


def test_recordings_of_segments_in_another_form_are_found(options, tmp_path):
    folder = tmp_path / "root/en/dev"
    (folder / "segments").write_text(f"dev-a dev-a 0 1\ndev-{KEY} {unicodedata.normalize('NFD', 'dev-' + KEY)} 0 1\n")
    with pytest.raises(SecateurError, match=r"segments:2: 'dev-e.+' looks like that of .*text:2"):
        prepared(options, tmp_path)


def test_a_pointer_of_git_lfs_in_place_of_a_table(tmp_path):
    (tmp_path / "text").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(
        SecateurError, match=r"text: a pointer of Git LFS, not the file itself; fetch it: `git lfs pull`"
    ):
        read_table(tmp_path / "text")
