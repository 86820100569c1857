import numpy as np
import pytest
import torch

from secateur.core.errors import SecateurError
from secateur.speech import audio
from secateur.speech.data import IGNORED
from secateur.ssl.waves import Crops, WaveExamples


def test_whole_utterances_are_read_and_padded_segments_from_their_recording(speech, noise):
    examples = WaveExamples([speech / "train", speech / "segmented"])
    batch = examples.load(["train-1", "seg-1", "train-0"])
    assert batch.languages == ["en", "fr", "en"]
    assert batch.tensors["lengths"].tolist() == [9280, 11200, 6400]
    assert batch.tensors["waveforms"].shape == (3, 11200)
    np.testing.assert_array_equal(batch.tensors["waveforms"][0, :9280], noise(0.58, 1))
    assert not batch.tensors["waveforms"][0, 9280:].any()
    np.testing.assert_allclose(batch.tensors["waveforms"][1], noise(3.0, 99)[8000:19200], atol=1e-4)


def test_crops_are_what_their_keys_say_with_the_targets_of_their_frames(speech, noise):
    targets = {f"train-{index}": np.arange(100, 100 + 50, dtype=np.int32) for index in range(6)}
    examples = WaveExamples([speech / "train"], 320, targets)
    batch = examples.load(["train-4@640+3200", "train-3@0+3200"])
    np.testing.assert_array_equal(batch.tensors["waveforms"][0], noise(1.12, 4)[640:3840])
    assert batch.tensors["targets"][:, 0].tolist() == [102, 100]
    assert batch.tensors["targets"].shape == (2, 11)
    short = examples.load(["train-4@0+3200", "train-0@4480+3200"])  # only 1920 samples of it are there
    assert short.tensors["lengths"].tolist() == [1920, 1920]
    whole = examples.load(["train-0", "train-5"]).tensors["targets"]
    assert whole[0].tolist() == [*range(100, 121), *[IGNORED] * 29] and whole[1, -1] == 149


def test_audio_is_decoded_once_as_long_as_there_is_room(speech, monkeypatch, noise):
    calls = []
    read = audio.read
    monkeypatch.setattr(audio, "read", lambda *arguments: calls.append(arguments[0]) or read(*arguments))
    sizes = 2 * 11200  # a 16-bit segment
    examples = WaveExamples([speech / "segmented", speech / "train"], cached_bytes=sizes)
    first = [examples.read("seg-0") for _ in range(3)]
    assert len(calls) == 1 and first[0].dtype == first[2].dtype == np.float32
    np.testing.assert_array_equal(first[0], first[2])
    float_recording = [examples.read("train-0") for _ in range(2)]
    assert len(calls) == 3
    np.testing.assert_array_equal(float_recording[0], noise(0.4, 0))


def test_crops_are_of_one_length_within_the_utterance_and_start_at_frames():
    lengths = {f"u{index}": 5000 + 1777 * index for index in range(30)}
    crops = Crops(lengths, 16000, 64000, seed=3, hop=320)
    seen, starts = set(), set()
    for step in range(60):
        keys = crops.step(step)
        assert keys == Crops(lengths, 16000, 64000, seed=3, hop=320).step(step)
        sizes = {int(key.partition("+")[2]) for key in keys}
        assert len(sizes) == 1 and len(keys) * max(sizes) <= 64000
        for key in keys:
            name, _, place = key.partition("@")
            start, size = map(int, place.split("+"))
            assert start % 320 == 0 and start + size <= lengths[name] and size <= 16000
            seen.add(name)
            starts.add((name, start))
    assert seen == lengths.keys()
    assert len(starts) > 2 * len(lengths)
    assert {key.partition("@")[0] for batch in crops.epoch() for key in batch} == lengths.keys()
    assert Crops(lengths, 16000, 64000, seed=4, hop=320).step(0) != crops.step(0)


def test_missing_targets_and_ids_that_occur_twice_are_named(speech):
    with pytest.raises(SecateurError, match="'train-0' has no targets; make the targets again"):
        WaveExamples([speech / "train"], 320, {})
    with pytest.raises(SecateurError, match="'train-0' is already in another data directory"):
        WaveExamples([speech / "train", speech / "train"])


def test_an_id_with_an_at_sign_is_no_crop(speech):
    examples = WaveExamples([speech / "train"])
    examples.utterances["a@b+c"] = examples.utterances["train-0"]
    assert torch.equal(examples.load(["a@b+c"]).tensors["lengths"], torch.tensor([6400]))
    assert examples.load(["a@b+c@320+640"]).tensors["lengths"].tolist() == [640]
