"""Recordings that real corpora hold: cut, of several channels, with samples that are no numbers, not audio at all."""

import json
import re
import struct

import kaldiio
import numpy as np
import pytest
import soundfile

from secateur.core.errors import SecateurError
from secateur.core.files import write_text
from secateur.speech import audio, corpora
from secateur.speech.corpora import preparation
from secateur.speech.corpora.recordings import unusable
from secateur.speech.corpora.validate import validate
from secateur.speech.datadir import Utterance, read_data_dir, write_data_dir
from secateur.speech.features import extract
from secateur.speech.tokens import write_tokens
from secateur.ssl.tasks.clips import middle, whole
from secateur.ssl.waves import WaveExamples

SPLITS = ("train", "dev", "test")
NOISE = np.random.default_rng(0).normal(0, 0.1, 4 * 16000)
CUT = {
    "wav": {},
    "float.wav": {"subtype": "FLOAT"},
    "aiff": {},
    "au": {},
    "flac": {},
    "mp3": {},
    "ogg": {},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}


def kaldi_corpus(folder, recordings, **tables):
    """A user's data directories, all splits of which have these recordings; `tables` replaces or adds some."""
    for split in SPLITS:
        lines = {"wav.scp": "", "text": "", "utt2spk": ""}
        for name, path in recordings.items():
            for table, value in (("wav.scp", path), ("text", "hello there"), ("utt2spk", "s")):
                lines[table] += f"{split}-{name} {value}\n"
        for name, text in (lines | tables).items():
            write_text(folder / "en" / split / name, text.replace("SPLIT", split))
    splits = {split: split for split in SPLITS}
    options = {"recipe": "kaldi", "root": str(folder), "splits": splits, "normalise": True, "channel": None}
    return options | {"exclude": [], "non_speech_tags": [], "unknown_tags": []}


def prepared(options, cache, **more):
    corpora.recipe("kaldi").fetch(options, "en", cache)
    return preparation.prepare(options, "en", cache, **more)


def cut_in_half(folder, kind):
    """A recording of 4 s of which half the bytes are there, and a whole one."""
    whole_file, half = folder / f"whole.{kind}", folder / f"half.{kind}"
    soundfile.write(whole_file, NOISE, 16000, **CUT[kind])
    content = whole_file.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    return whole_file, half


@pytest.mark.parametrize("kind", CUT)
def test_cut_recordings_of_every_format_are_named_together_at_preparation(tmp_path, kind):
    whole_file, half = cut_in_half(tmp_path, kind)
    options = kaldi_corpus(tmp_path / "root", {"a": whole_file, "b": half, "c": half})
    with pytest.raises(SecateurError, match=r"^en: 6 utterances cannot be used") as error:
        prepared(options, tmp_path / "cache")
    for split in SPLITS:
        assert f"{split}-a" not in str(error.value)
        for name in ("b", "c"):
            broken = rf"  {split}-{name}: .*half\.{kind}: (its header promises 4\.0\d s, [0-3]\.\d\d s can|breaks off)"
            assert re.search(broken, str(error.value))
    excluding = options | {"exclude": [f"{split}-{name}" for split in SPLITS for name in "bc"]}
    assert [utterance.id for utterance in prepared(excluding, tmp_path / "cache").splits["dev"]] == ["dev-a"]


def test_cut_recordings_of_official_corpora_are_named_too(tmp_path):
    _, half = cut_in_half(tmp_path, "flac")
    for part in ("train-clean-5", "dev-clean-2", "test-clean"):
        chapter = tmp_path / "LibriSpeech" / part / "1" / "2"
        chapter.mkdir(parents=True)
        (chapter / f"{part}-0.flac").write_bytes(half.read_bytes())
        write_text(chapter / "1-2.trans.txt", f"{part}-0 HELLO THERE\n")
    options = {
        **{"recipe": "librispeech", "root": str(tmp_path), "url": None, "checksum": {}, "exclude": []},
        **{"non_speech_tags": [], "unknown_tags": []},
        **{"train": ["train-clean-5"], "dev": ["dev-clean-2"], "test": ["test-clean"]},
    }
    corpora.recipe("librispeech").fetch(options, "en", tmp_path / "cache")
    with pytest.raises(
        SecateurError, match=r"(?s)3 utterances .*train-clean-5-0: .*promises 4\.00 s, .*dev-clean-2-0: "
    ):
        preparation.prepare(options, "en", tmp_path / "cache")


def test_a_segment_before_the_cut_can_be_used(tmp_path):
    _, half = cut_in_half(tmp_path, "wav")
    segments = [
        Utterance(f"{end}", str(half), "a", "s", "en", 1.0, end - 1.0, end, "r") for end in (1.0, 2.0, 2.5, 4.0)
    ]
    assert list(unusable(segments)) == ["2.5", "4.0"]
    assert np.allclose(audio.read(half, 0.5, 1.0), NOISE[8000:16000], atol=1e-4)
    with pytest.raises(
        SecateurError, match=r"promises 4\.00 s, 2\.00 s can be decoded; the file is cut or damaged: fetch"
    ):
        audio.read(half, 1.0, 4.0)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_header_written_before_the_end_was_known_promises_nothing(tmp_path, size):
    soundfile.write(tmp_path / "a.wav", NOISE, 16000)
    content = (tmp_path / "a.wav").read_bytes()
    write = struct.pack("<I", size)
    (tmp_path / "a.wav").write_bytes(content[:4] + write + content[8:40] + write + content[44:])
    assert audio.info(tmp_path / "a.wav").frames == len(audio.read(tmp_path / "a.wav")) == 4 * 16000
    assert audio.examine(tmp_path / "a.wav") == (4.0, 4.0)


def test_a_flac_without_a_length_is_one_clear_error(tmp_path):
    soundfile.write(tmp_path / "a.flac", NOISE, 16000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0  # STREAMINFO's total samples: 36 bits
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    for function in (audio.info, audio.read, audio.examine):
        with pytest.raises(SecateurError, match=r"a\.flac: its header does not say how long it is; write it once more"):
            function(tmp_path / "a.flac")


def test_what_is_found_in_extraction_only_is_named_all_at_once(tmp_path):
    soundfile.write(tmp_path / "whole.flac", NOISE, 16000)
    content = bytearray((tmp_path / "whole.flac").read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    (tmp_path / "hole.flac").write_bytes(content)
    names = {"a": "whole", "b": "hole", "c": "hole"}
    write_data_dir(
        tmp_path / "data",
        [Utterance(key, f"{tmp_path}/{name}.flac", "a", "s", "en", 4.0) for key, name in names.items()],
    )
    with pytest.raises(
        SecateurError, match=r"(?s)data: 2 utterances have no features:\n  b: .*hole\.flac.*\n  c: .*hole"
    ):
        extract(tmp_path / "data", tmp_path / "features")
    assert not (tmp_path / "features" / "feats.ark").exists()


def test_channels_that_cancel_each_other_out_are_an_error_and_one_can_be_chosen(tmp_path):
    call, other = tmp_path / "call.wav", tmp_path / "stereo.wav"
    soundfile.write(call, np.stack([NOISE, -NOISE], axis=1), 16000)
    soundfile.write(other, np.stack([NOISE, NOISE[::-1]], axis=1), 16000)
    options = kaldi_corpus(tmp_path / "root", {"a": call, "b": other})
    with pytest.raises(
        SecateurError, match=r"^en: 3 utterances .*(?s:.*)train-a: .*call\.wav: its 2 channels cancel each"
    ):
        prepared(options, tmp_path / "cache")
    chosen = prepared(options | {"channel": 1}, tmp_path / "cache")
    assert {utterance.channel for utterance in chosen.splits["test"]} == {1}
    with pytest.raises(SecateurError, match=r"channel 2 is wanted, it has 2, counted from 0"):
        prepared(options | {"channel": 2}, tmp_path / "cache")


def test_averaged_channels_are_noted_with_their_count(tmp_path):
    mono, stereo = tmp_path / "mono.wav", tmp_path / "stereo.wav"
    soundfile.write(mono, NOISE, 16000)
    soundfile.write(stereo, np.stack([NOISE, NOISE[::-1]], axis=1), 16000)
    options = kaldi_corpus(tmp_path / "root", {"a": mono, "b": stereo, "c": stereo})
    write_tokens(tmp_path / "tokens", ["hello there"])

    def notes(**more):
        found = prepared(options | more, tmp_path / "cache")
        preparation.write_prepared(tmp_path / "data" / "en", found)
        return found.source["notes"], validate(tmp_path / "data", ["en"], SPLITS, tmp_path / "tokens" / "tokens.txt")[1]

    source, findings = notes()
    assert "recordings with several channels: 1 of 2 channels" in source
    (message,) = findings.messages()
    assert "several channels are averaged" in message and "1 with 2 channels" in message
    assert notes(channel=0)[1].messages() == []


def test_the_fifth_column_of_segments_chooses_a_channel_for_all_that_hear_it(tmp_path):
    soundfile.write(tmp_path / "call.wav", np.stack([NOISE, NOISE[::-1]], axis=1), 16000, subtype="FLOAT")
    segments = "SPLIT-a SPLIT-call 0 1 0\nSPLIT-b SPLIT-call 0 1 1\nSPLIT-c SPLIT-call 0 1\n"
    texts = {"text": "SPLIT-a x\nSPLIT-b x\nSPLIT-c x\n", "utt2spk": "SPLIT-a s\nSPLIT-b t\nSPLIT-c t\n"}
    options = kaldi_corpus(tmp_path / "root", {"call": tmp_path / "call.wav"}, segments=segments, **texts)
    found = prepared(options, tmp_path / "cache")
    write_data_dir(tmp_path / "data", found.splits["dev"])
    utterances = read_data_dir(tmp_path / "data")
    assert utterances == found.splits["dev"] and [utterance.channel for utterance in utterances] == [0, 1, None]
    left, right = NOISE[:16000], NOISE[::-1][:16000]
    waves = WaveExamples([tmp_path / "data"])
    for utterance, wanted in zip(utterances, (left, right, (left + right) / 2), strict=True):
        for heard in (waves.read(utterance.id), whole(utterance).samples(), middle(utterance, 1.0).samples()):
            assert np.allclose(heard, wanted, atol=1e-4)
    extract(tmp_path / "data", tmp_path / "features")
    matrices = dict(kaldiio.load_scp(str(tmp_path / "features" / "feats.scp")))
    assert not np.allclose(matrices["dev-a"], matrices["dev-b"], atol=0.1)
    write_data_dir(tmp_path / "one", [Utterance("dev-a", str(tmp_path / "call.wav"), "x", "s", "en", 4.0, channel=1)])
    (again,) = read_data_dir(tmp_path / "one")
    assert (again.channel, again.duration) == (1, 4.0) and len(whole(again).samples()) == 4 * 16000


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_named_with_utterance_and_file(tmp_path, value):
    samples = NOISE.copy()
    samples[24000] = value
    soundfile.write(tmp_path / "bad.wav", samples, 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "good.wav", NOISE, 16000, subtype="FLOAT")
    options = kaldi_corpus(tmp_path / "root", {"a": tmp_path / "good.wav", "b": tmp_path / "bad.wav"})
    with pytest.raises(
        SecateurError, match=r"^en: 3 utterances .*(?s:.*)  dev-b: .*bad\.wav: its sample at 1\.500 s is no number"
    ):
        prepared(options, tmp_path / "cache")
    write_data_dir(tmp_path / "data", [Utterance("u", str(tmp_path / "bad.wav"), "x", "s", "en", 4.0)])
    for reads in (lambda: audio.read(tmp_path / "bad.wav"), lambda: extract(tmp_path / "data", tmp_path / "features")):
        with pytest.raises(SecateurError, match=r"bad\.wav: its sample at 1\.500 s is no number \(NaN or infinite\)"):
            reads()
    assert np.allclose(audio.read(tmp_path / "bad.wav", 2.0, 3.0), NOISE[32000:48000])


def test_copies_at_other_speeds_may_not_have_the_ids_of_utterances(tmp_path):
    soundfile.write(tmp_path / "a.wav", NOISE, 16000)
    options = kaldi_corpus(tmp_path / "root", {"a": tmp_path / "a.wav"})
    for name, value in (("wav.scp", tmp_path / "a.wav"), ("text", "hello"), ("utt2spk", "s")):
        with open(tmp_path / "root/en/train" / name, "a") as stream:
            stream.write(f"sp0.9-train-a {value}\nsp1.1-train-a {value}\n")
    with pytest.raises(
        SecateurError, match=r"^en: 2 ids of train, such as 'sp0\.9-train-a', .* set features\.speeds to"
    ):
        prepared(options, tmp_path / "cache", speeds=(0.9, 1.0, 1.1))
    for speeds in ((1.0,), (0.95, 1.0)):
        assert len(prepared(options, tmp_path / "cache", speeds=speeds).splits["train"]) == 3


def test_copies_may_not_have_ids_of_another_language_either(tmp_path):
    soundfile.write(tmp_path / "a.wav", NOISE, 16000)
    for language, key in (("en", "a"), ("fr", "sp0.9-a")):
        folder = tmp_path / "data" / language
        write_data_dir(folder / "train", [Utterance(key, str(tmp_path / "a.wav"), "a b", "s", language, 4.0)])
        write_text(folder / "source.json", json.dumps({"synthetic": False}))
        write_text(folder / "dropped.tsv", "utterance\treason\tdetail\n")
    write_tokens(tmp_path / "tokens", ["a b"])
    arguments = (tmp_path / "data", ["en", "fr"], ["train"], tmp_path / "tokens" / "tokens.txt")
    problem = "id that a copy at another speed gets, too: rename it, or set features.speeds to [1.0]"
    assert validate(*arguments, speeds=(0.9, 1.0))[1].errors[problem] == ["sp0.9-a"]
    assert problem not in validate(*arguments)[1].errors


REFERENCES = {
    "a recording in an archive": ("x/raw.ark:1234", r"inside an archive of Kaldi's.*wav-copy scp:wav\.scp"),
    "an address": ("https://example.org/a.wav", r"an address, and nothing is downloaded here"),
    "nothing": ("nowhere.wav", r"nowhere\.wav: no such recording; fetch it again or mend the path"),
    "a folder": (".", r": a folder, not a recording"),
    "MPEG-4": ("a.m4a", r"a\.m4a: an MPEG-4 file .*`ffmpeg -i a\.m4a -ac 1 -ar 16000 a\.flac`"),
    "WebM": ("a.webm", r"a Matroska or WebM file, which is not read here; convert it once"),
    "gzip": ("a.wav.gz", r"packed with gzip; unpack it"),
    "packed SPHERE": ("a.sph", r"a packed SPHERE file; unpack it once, e\.g\. `sph2pipe -f wav a\.sph a\.wav`"),
    "a web page": ("page.wav", r"a web page, not a recording: its download went wrong"),
    "a pointer": ("pointer.wav", r"pointer\.wav: a pointer of Git LFS, not the file itself; fetch it: `git lfs pull`"),
    "a pointer, G.722": ("pointer.g722", r"pointer\.g722: a pointer of Git LFS"),
    "a link to nowhere": ("annex.wav", r"annex\.wav: a link to \.git/annex/x, which is not there; .*git annex get"),
    "noise": ("noise.wav", r"noise\.wav: cannot be read as audio \(.+\); fetch it again or exclude its utterances"),
}
CONTENTS = {
    "a.m4a": struct.pack(">I", 24) + b"ftypM4A " + bytes(200),
    "a.webm": b"\x1aE\xdf\xa3" + bytes(100),
    "a.wav.gz": b"\x1f\x8b\x08" + bytes(100),
    "a.sph": b"NIST_1A\n   1024\nsample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n" + bytes(1000),
    "page.wav": b"<!DOCTYPE html><html>Please log in</html>",
    "pointer.wav": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 128044\n",
    "pointer.g722": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 128044\n",
    "noise.wav": b"\x01\x02\x03" * 100,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_what_is_no_recording_is_told_with_the_remedy_that_helps(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file, content in CONTENTS.items():
        (tmp_path / file).write_bytes(content)
    (tmp_path / "annex.wav").symlink_to(".git/annex/x")
    path, message = REFERENCES[name]
    options = kaldi_corpus(tmp_path / "root", {"a": path})
    with pytest.raises(SecateurError, match=rf"^en: 3 utterances cannot be used(?s:.*)  train-a: .*{message}"):
        prepared(options, tmp_path / "cache")
    with pytest.raises(SecateurError, match=message):
        audio.read(path)


def test_a_home_folder_in_wav_scp_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    soundfile.write(tmp_path / "a.wav", NOISE, 16000)
    found = prepared(kaldi_corpus(tmp_path / "root", {"a": "~/a.wav"}), tmp_path / "cache")
    assert found.splits["dev"][0].audio == str(tmp_path / "a.wav")


def test_data_directories_of_our_own_can_be_read_again(tmp_path):
    soundfile.write(tmp_path / "a.wav", NOISE, 16000)
    options = kaldi_corpus(tmp_path / "root", {"a": tmp_path / "a.wav"})
    found = prepared(options, tmp_path / "cache")
    preparation.write_prepared(tmp_path / "ours" / "en", found)
    assert (tmp_path / "ours/en/dev/segments").read_text() == ""
    assert prepared(options | {"root": str(tmp_path / "ours")}, tmp_path / "again").splits == found.splits
