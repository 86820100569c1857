import numpy as np
import pytest
import soundfile

from secateur.core.errors import SecateurError
from secateur.speech.corpora import Prepared, kaldi, split_names
from secateur.speech.corpora.preparation import exclude, prepare


def make_data_dir(folder, prefix, rate=16000, **tables):
    """Two recordings of 2 s and 3 s, with the tables that a Kaldi user writes; `tables` replaces some."""
    folder.mkdir(parents=True)
    for number in (1, 2):
        soundfile.write(folder / f"{number}.wav", np.zeros(rate * (number + 1)), rate)
    written = {
        "wav.scp": "".join(f"{prefix}-{number} {folder}/{number}.wav\n" for number in (1, 2)),
        "text": f"{prefix}-1 Hello, World!\n{prefix}-2 It's 5.\n",
        "utt2spk": f"{prefix}-1 {prefix}\n{prefix}-2 {prefix}\n",
    }
    for name, text in (written | {name.replace("_", "."): text for name, text in tables.items()}).items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def root(tmp_path):
    for split in ("train", "dev", "test"):
        make_data_dir(tmp_path / "root" / "en" / split, split)
    return tmp_path / "root"


SPLITS = {"train": "train", "dev": "dev", "test": "test"}


def entry(root, **options):
    """The configuration of a corpus, with the schema's defaults."""
    return {
        "recipe": "kaldi",
        "root": str(root),
        "splits": SPLITS,
        "normalise": True,
        "channel": None,
        "exclude": [],
        "non_speech_tags": ["[noise]", "!SIL"],
        "unknown_tags": ["<unk>"],
    } | options


def run(root, cache, language="en", **options) -> Prepared:
    options = entry(root, **options)
    kaldi.fetch(options, language, cache)
    return prepare(options, language, cache)


def test_plain_directories(root, tmp_path):
    prepared = run(root, tmp_path / "cache")
    assert list(prepared.splits) == ["train", "dev", "test"] and prepared.dropped == []
    assert [(u.id, u.text, u.speaker, u.language, u.duration) for u in prepared.splits["dev"]] == [
        ("dev-1", "hello world", "dev", "en", 2.0),
        ("dev-2", "it's five", "dev", "en", 3.0),
    ]
    assert prepared.source["resampled"] == {} and prepared.source["synthetic"] is False


def test_transcripts_as_they_are(root, tmp_path):
    assert run(root, tmp_path / "cache", normalise=False).splits["dev"][0].text == "Hello, World!"


def test_paths_are_relative_to_the_working_directory(root, tmp_path, monkeypatch):
    (root / "en/dev/wav.scp").write_text("dev-1 root/en/dev/1.wav\ndev-2 root/en/dev/2.wav\n")
    monkeypatch.chdir(tmp_path)
    assert run("root", "cache").splits["dev"][0].audio == "root/en/dev/1.wav"
    monkeypatch.chdir(root)
    with pytest.raises(SecateurError, match=r"root/en/dev/1\.wav: no such recording"):
        run(root, tmp_path / "cache")


def test_segments(root, tmp_path):
    (root / "en/dev/segments").write_text("dev-1 dev-2 0.5 1.25\ndev-2 dev-2 1.25 -1\n")
    first, second = run(root, tmp_path / "cache").splits["dev"]
    assert (first.recording, first.start, first.end, first.duration) == ("dev-2", 0.5, 1.25, 0.75)
    assert (second.recording, second.start, second.end, second.duration) == ("dev-2", 1.25, 3.0, 1.75)
    (root / "en/dev/segments").write_text("dev-1 dev-2 0.5 1.25\ndev-2 dev-2 2 5\n")
    with pytest.raises(SecateurError, match=r"segments: 'dev-2' is from 2\.0 s to 5\.0 s.*lasts 3\.00 s"):
        run(root, tmp_path / "cache")


def test_languages_in_one_folder(root, tmp_path):
    for split in ("train", "dev", "test"):
        make_data_dir(root / split, f"x{split}", utt2lang=f"x{split}-1 de\nx{split}-2 nl\n")
    scp = root / "train/wav.scp"
    scp.write_text(scp.read_text() + f"silent {root}/train/1.wav\n")
    (root / "train/utt2lang").write_text("xtrain-1 de\nxtrain-2 nl\nsilent nl\n")
    assert [e.utterance for e in run(root, tmp_path / "cache", "nl").dropped] == ["silent"]
    german = run(root, tmp_path / "cache", "de")
    assert german.dropped == []  # what has no transcript is counted once, where it belongs
    assert [[u.id for u in members] for members in german.splits.values()] == [["xtrain-1"], ["xdev-1"], ["xtest-1"]]
    assert [u.text for u in run(root, tmp_path / "cache", "nl").splits["dev"]] == ["it's vijf"]


def test_split_names(root, tmp_path):
    (root / "en/test").rename(root / "en/eval92")
    scp = root / "en/eval92/wav.scp"
    scp.write_text(scp.read_text().replace("en/test/", "en/eval92/"))
    with pytest.raises(SecateurError, match=r"neither en/test nor test in it, which the split 'test' needs.*splits:"):
        run(root, tmp_path / "cache")
    splits = {"train": "train", "dev": "dev", "test": "eval92", "other": "dev"}
    assert split_names({"recipe": "kaldi", "splits": splits}) == ["train", "dev", "test", "other"]
    assert run(root, tmp_path / "cache", splits=splits).splits["test"][0].id == "test-1"
    with pytest.raises(SecateurError, match="splits: dev, test missing"):
        run(root, tmp_path / "cache", splits={"train": "train"})


def test_a_command_is_refused(root, tmp_path):
    (root / "en/dev/wav.scp").write_text("dev-1 sph2pipe -f wav a.sph |\ndev-2 x.wav\n")
    with pytest.raises(SecateurError, match=r"'dev-1' is a command.*`sph2pipe -f wav a\.sph > dev-1\.wav`"):
        kaldi.fetch(entry(root), "en", tmp_path)


def test_what_is_missing_is_named(root, tmp_path):
    make_data_dir(root / "de" / "dev", "dev")
    for name, message in (
        ("utt2spk", "utt2spk: 'dev-2' is missing"),
        ("wav.scp", r"wav\.scp: 'dev-2' is missing"),
    ):
        path = root / "en/dev" / name
        whole = path.read_text()
        path.write_text(whole.splitlines()[0] + "\n")
        with pytest.raises(SecateurError, match=message):
            run(root, tmp_path / "cache")
        path.write_text(whole)
    (root / "en/dev/utt2spk").unlink()
    with pytest.raises(SecateurError, match="utt2spk: no such file"):
        run(root, tmp_path / "cache")


def test_utterances_without_words_are_dropped(root, tmp_path):
    (root / "en/dev/text").write_text("dev-1 ...\n")
    (root / "en/train/text").write_text("train-1 hello\n")
    prepared = run(root, tmp_path / "cache")
    assert prepared.splits["dev"] == []
    assert [(e.utterance, e.reason, e.detail) for e in prepared.dropped] == [
        ("train-2", "no transcript", ""),
        ("dev-2", "no transcript", ""),
        ("dev-1", "no transcript", "..."),
    ]


def test_other_rates_are_counted(root, tmp_path):
    make_data_dir(root / "de" / "train", "t", rate=8000)
    for split in ("dev", "test"):
        make_data_dir(root / "de" / split, split)
    source = run(root, tmp_path / "cache", "de").source
    assert source["resampled"] == {"8000": 2} and "resampled to 16 kHz: 2 of 8000 Hz" in source["notes"]


def test_an_unreadable_recording_can_be_excluded(root, tmp_path):
    (root / "en/dev/2.wav").write_text("no audio")
    with pytest.raises(SecateurError, match=r"dev/2\.wav: cannot be read as audio.*exclude"):
        run(root, tmp_path / "cache")
    prepared = run(root, tmp_path / "cache", exclude=["dev-2"])
    assert [u.id for u in prepared.splits["dev"]] == ["dev-1"]
    assert [(e.utterance, e.reason) for e in prepared.dropped] == [("dev-2", "excluded")]


def test_every_unreadable_recording_is_named_with_its_utterance(root, tmp_path):
    (root / "en/dev/2.wav").write_text("no audio")
    (root / "en/test/1.wav").unlink()
    (root / "en/train/utt2spk").write_text("train-1 train\n")
    with pytest.raises(SecateurError) as error:
        run(root, tmp_path / "cache")
    first, *lines = str(error.value).splitlines()
    assert first.startswith("en: 3 utterances cannot be used") and "corpora.<name>.exclude" in first
    for line, (key, problem) in zip(
        lines,
        [("train-2", "utt2spk"), ("dev-2", f"{root}/en/dev/2.wav"), ("test-1", f"{root}/en/test/1.wav")],
        strict=True,
    ):
        assert line.startswith(f"  {key}: ") and problem in line
    prepared = run(root, tmp_path / "cache", exclude=["train-2", "dev-2", "test-1"])
    assert [[u.id for u in members] for members in prepared.splits.values()] == [["train-1"], ["dev-1"], ["test-2"]]


def test_a_long_list_of_broken_utterances_is_cut(root, tmp_path):
    keys = [f"dev-{number:02d}" for number in range(12)]
    for name, value in (("wav.scp", "gone.wav"), ("text", "hello"), ("utt2spk", "s")):
        (root / "en/dev" / name).write_text("".join(f"{key} {value}\n" for key in keys))
    with pytest.raises(
        SecateurError, match=r"(?s)12 utterances cannot be used.*dev-09: gone.wav.*\n  and 2 more$"
    ) as error:
        run(root, tmp_path / "cache")
    assert "dev-10" not in str(error.value)


def test_inputs_are_the_tables_that_exist(root, tmp_path):
    tables = {str(root / "en" / split / name) for split in SPLITS for name in ("wav.scp", "text", "utt2spk")}
    assert set(kaldi.inputs(entry(root), "en")) == tables
    (root / "en/dev/segments").write_text("dev-1 dev-2 0.5 1.25\ndev-2 dev-2 1.25 -1\n")
    (root / "en/dev/text").unlink()
    changed = tables - {str(root / "en/dev/text")} | {str(root / "en/dev/segments")}
    assert set(kaldi.inputs(entry(root), "en")) == changed
    assert kaldi.inputs(entry(tmp_path / "nowhere"), "en") == []


def test_exclude(root, tmp_path):
    prepared = exclude(run(root, tmp_path / "cache"), ["dev-2", "of-another-language"])
    assert [u.id for u in prepared.splits["dev"]] == ["dev-1"] and len(prepared.splits["train"]) == 2
    assert [(e.utterance, e.reason) for e in prepared.dropped] == [("dev-2", "excluded")]
