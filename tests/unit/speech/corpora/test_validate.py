from dataclasses import replace

import numpy as np
import pytest
import soundfile

from secateur.core.errors import SecateurError
from secateur.speech.corpora import Dropped, Prepared
from secateur.speech.corpora.preparation import write_prepared
from secateur.speech.corpora.validate import feature_frames, output_frames, validate
from secateur.speech.datadir import Utterance
from secateur.speech.features import change_speed, log_mel
from secateur.speech.tokens import write_tokens

TEXTS = {"train": ["abba cab", "a b c"], "test": ["cab"]}


@pytest.fixture
def corpus(tmp_path):
    """A tiny corpus whose recordings last 1 s, with a character list of a, b, c."""
    return Corpus(tmp_path)


class Corpus:
    def __init__(self, folder):
        self.folder = folder
        self.dropped, self.source = [Dropped("x", "no transcript")], {"synthetic": True}
        write_tokens(folder, [text for texts in TEXTS.values() for text in texts])
        self.splits = {
            split: [self.utterance(f"{split}-{number}", text) for number, text in enumerate(texts)]
            for split, texts in TEXTS.items()
        }

    def utterance(self, key, text, rate=16000, seconds=1.0, **more):
        path = self.folder / f"{key}.wav"
        soundfile.write(path, np.zeros(int(rate * seconds)), rate)
        return Utterance(key, str(path), text, "speaker", "en", seconds, **more)

    def validate(self, languages=("en",), **more):
        prepared = Prepared(self.splits, self.dropped, self.source)
        for language in languages:
            write_prepared(self.folder / "tiny" / language, prepared)
        return validate(self.folder / "tiny", languages, ["train", "test"], self.folder / "tokens.txt", **more)


def test_a_good_corpus(corpus):
    rows, findings = corpus.validate()
    findings.raise_errors()
    assert findings.messages() == []
    assert rows == [
        {
            "corpus": "tiny",
            "language": "en",
            "split": "train",
            "utterances": 2,
            "hours": round(2 / 3600, 4),
            "unit": "word",
            "words": 5,
            "types": 5,
            "speakers": 1,
            "seen_sentences": None,
            "seen_speakers": None,
            "uncovered": 0,
            "tags": 0,
            "untranscribed": 0,
            "dropped": 1,
            "resampled": 0,
            "synthetic": True,
        },
        rows[1],
    ]
    assert (rows[1]["split"], rows[1]["utterances"], rows[1]["words"], rows[1]["dropped"]) == ("test", 1, 1, None)


def failing(corpus, message, **more):
    with pytest.raises(SecateurError, match=message):
        corpus.validate(**more)[1].raise_errors()


def test_empty_and_unreadable_recordings(corpus):
    corpus.splits["train"].append(corpus.utterance("empty", "cab", seconds=0))
    corpus.splits["test"].append(corpus.utterance("noise", "cab"))
    (corpus.folder / "noise.wav").write_text("no audio")
    failing(corpus, r"unreadable recording.*empty \(.*the recording is empty.*noise \(.*cannot be read as audio")


def test_empty_transcript(corpus):
    corpus.splits["train"].append(corpus.utterance("silent", ""))
    failing(corpus, "empty transcript.*: silent")


def test_no_speaker(corpus):
    corpus.validate()
    path = corpus.folder / "tiny/en/train/utt2spk"
    path.write_text(path.read_text().replace("train-1 speaker", "train-1"))
    _, findings = validate(corpus.folder / "tiny", ["en"], ["train"], corpus.folder / "tokens.txt")
    assert findings.errors == {"no speaker: add it to utt2spk": ["train-1"]}


def test_ids_in_two_languages(corpus):
    failing(corpus, r"id in two places.*train-0 \(en/train, fr/train\)", languages=("en", "fr"))


def test_ids_in_two_splits(corpus):
    corpus.validate()
    for path in (corpus.folder / "tiny/en/test").iterdir():
        path.write_text(path.read_text().replace("test-0 ", "train-0 "))
    _, findings = validate(corpus.folder / "tiny", ["en"], ["train", "test"], corpus.folder / "tokens.txt")
    with pytest.raises(SecateurError, match=r"train-0 \(en/train, en/test\)"):
        findings.raise_errors()


# "abba cab": 8 tokens, one of them repeated → 9 output frames. stack:4 makes them of 33 frames, i.e. of
# 25 + 32 · 10 = 345 ms; conv2d of 39 (19 after the first convolution), 405 ms, and at speed 1.1 of 445.5 ms.
@pytest.mark.parametrize(
    ("layers", "speeds", "short", "enough"),
    [
        (["stack:4"], [1.0], 0.344, 0.345),
        (["conv2d"], [1.0], 0.404, 0.405),
        (["stack:4", "conv2d"], [1.0], 0.404, 0.405),
        (["conv2d"], [1.0, 0.9, 1.1], 0.445, 0.446),
    ],
)
def test_too_short_for_ctc(corpus, layers, speeds, short, enough):
    options = {"input_layers": layers, "speeds": speeds}
    corpus.splits["train"].append(corpus.utterance("quick", "abba cab", seconds=short))
    message = rf"too short for its transcript \(CTC, input {layers[-1]}\).*quick \(9 frames needed, 8 in {short} s"
    failing(corpus, message, **options)
    corpus.splits["train"][-1] = corpus.utterance("quick", "abba cab", seconds=enough)
    corpus.validate(**options)[1].raise_errors()


def test_a_test_set_has_no_faster_copies_and_may_be_too_short_for_ctc(corpus):
    corpus.splits["test"].append(corpus.utterance("quick", "abba cab", seconds=0.3))
    findings = corpus.validate(speeds=[1.0, 2.0])[1]
    findings.raise_errors()
    # 28 frames, 13 after the first convolution, 6 after the second
    assert len(findings.messages()) == 1 and "quick (9 frames needed, 6 in 0.3 s)" in findings.messages()[0]


@pytest.mark.parametrize("split", ["train", "test"])
def test_too_short_for_the_model_is_an_error_everywhere(corpus, split):
    # 84 ms are 6 frames, of which conv2d makes none; 85 ms are 7, of which it makes 1
    corpus.splits[split].append(corpus.utterance("click", "a", seconds=0.084))
    failing(
        corpus, r"too short for the model \(no output frame, input conv2d\).*: click \(6 frames of features in 0.08"
    )
    corpus.validate(input_layers=["stack:3"])[1].raise_errors()
    corpus.splits[split][-1] = corpus.utterance("click", "a", seconds=0.085)
    corpus.validate()[1].raise_errors()


@pytest.mark.parametrize("speed", [1.0, 0.9, 1.1])
@pytest.mark.parametrize("samples", [399, 400, 560, 16000, 18160])
def test_frames_are_those_of_the_features(speed, samples):
    matrix = log_mel(change_speed(np.zeros(samples, np.float32), speed))
    assert feature_frames(samples / 16000, speed) == len(matrix)


def test_output_frames():
    assert [output_frames(frames, "stack:3") for frames in (0, 1, 3, 4, 6, 7)] == [0, 1, 1, 2, 2, 3]
    assert [output_frames(frames, "conv2d") for frames in (0, 1, 6, 7, 10, 11, 100)] == [0, 0, 0, 1, 1, 2, 24]


def test_characters_outside_the_token_list(corpus):
    corpus.splits["train"].append(corpus.utterance("foreign", "cab дa"))
    failing(corpus, r"characters outside the token list.*foreign \(д\)")
    corpus.splits["train"] += [corpus.utterance(f"plain-{number}", "cab") for number in range(100)]
    findings = corpus.validate()[1]
    findings.raise_errors()
    assert "foreign (д)" in findings.messages()[0]


def test_rare_characters_of_a_test_set_are_counted_not_refused(corpus):
    """One test sentence of two has a character that training lacks: it stays, and its row counts it."""
    corpus.splits["test"].append(corpus.utterance("foreign", "cab дa"))
    rows, findings = corpus.validate()
    findings.raise_errors()
    (message,) = findings.messages()
    assert "each an error in scoring (test)" in message and "foreign (д)" in message
    assert [row["uncovered"] for row in rows] == [0, 1]


def test_shared_sentences_and_speakers_are_counted(corpus):
    corpus.splits["test"] += [
        corpus.utterance("again", "a b c"),
        replace(corpus.utterance("stranger", "abba cab"), speaker="another"),
    ]
    rows, findings = corpus.validate()
    findings.raise_errors()
    assert (rows[1]["seen_sentences"], rows[1]["seen_speakers"], rows[1]["speakers"]) == (2, 1, 2)


def sound(corpus, name, seed, seconds=1.0, subtype="PCM_16"):
    samples = np.round(np.random.default_rng(seed).uniform(-0.5, 0.5, int(16000 * seconds)) * 32768) / 32768
    soundfile.write(corpus.folder / name, samples, 16000, subtype=subtype)
    return str(corpus.folder / name)


def test_the_same_recording_in_two_splits_is_an_error_whatever_its_name_and_format(corpus):
    first = corpus.utterance("mine", "a b c")
    corpus.splits["train"].append(replace(first, audio=sound(corpus, "one.wav", 1)))
    corpus.splits["test"].append(replace(first, id="other", audio=sound(corpus, "other.wav", 2)))
    corpus.validate()[1].raise_errors()
    corpus.splits["test"].append(replace(first, id="yours", audio=sound(corpus, "two.flac", 1)))
    failing(corpus, r"the same recording in two splits.*: mine \(en/train\) and yours \(en/test\)$")


def test_segments_of_one_recording_may_be_in_two_splits_unless_they_overlap(corpus):
    path = sound(corpus, "long.wav", 1, seconds=3.0)
    segment = replace(corpus.utterance("x", "a b c"), audio=path, recording="long")
    corpus.splits["train"] = [
        replace(segment, id=f"train-{start}", start=start, end=start + 1.0) for start in (0.0, 1.0)
    ]
    corpus.splits["test"] = [replace(segment, id="test-2", start=2.0, end=3.0)]
    corpus.validate()[1].raise_errors()
    corpus.splits["test"] = [replace(segment, id="test-1", start=1.5, end=2.5)]
    failing(corpus, r"the same recording in two splits.*: train-1.0 \(en/train\) and test-1 \(en/test\)$")


def test_speech_without_text_and_tags_are_counted(corpus):
    corpus.dropped = [Dropped("u", "speech without text", "<unk> open", "test"), Dropped("x", "no transcript")]
    corpus.source = {"synthetic": True, "non_speech_tags": {"train": 3}}
    rows, _ = corpus.validate()
    assert [(row["tags"], row["untranscribed"], row["dropped"]) for row in rows] == [(3, 0, 2), (0, 1, None)]


def test_byte_pair_pieces(tmp_path):
    corpus = Corpus(tmp_path)
    write_tokens(tmp_path, ["abba cab", "a b c", "cab"] * 20, "bpe", 8)
    corpus.validate()[1].raise_errors()
    corpus.splits["train"].append(corpus.utterance("foreign", "cab q"))
    failing(corpus, r"foreign \(q\)")


def test_other_rates_are_noted(corpus):
    corpus.splits["train"].append(corpus.utterance("phone", "cab", rate=8000))
    rows, findings = corpus.validate()
    findings.raise_errors()
    assert findings.messages() == ["recordings at another rate than 16000 Hz are resampled: 1 at 8000 Hz"]
    assert [row["resampled"] for row in rows] == [1, 0]


def test_segment_beyond_its_recording(corpus):
    corpus.splits["train"].append(corpus.utterance("late", "cab", start=2.0, end=3.0, recording="late"))
    failing(corpus, r"longer than its recording.*late \(ends at 3 s of 1 s\)")


def test_long_lists_are_cut(corpus):
    corpus.splits["train"] += [corpus.utterance(f"silent-{number:02d}", "") for number in range(12)]
    failing(corpus, r"silent-09 and 2 more")
    with pytest.raises(SecateurError) as error:
        corpus.validate()[1].raise_errors()
    assert "silent-10" not in str(error.value)
