import json

import kaldiio
import numpy as np
import pytest

from secateur.core.errors import SecateurError
from secateur.speech import features
from secateur.speech.datadir import Utterance, read_table, write_data_dir
from secateur.speech.features import Archive, change_speed, extract, log_mel, mean_and_std, speed_prefix

soundfile = pytest.importorskip("soundfile")


def reference_log_mel(samples: np.ndarray, bins: int) -> np.ndarray:
    """Kaldi's compute-fbank-feats with its default options and no dither, written out."""
    scaled = samples.astype(np.float64) * 32768
    frames = np.stack([scaled[start : start + 400] for start in range(0, len(scaled) - 399, 160)])
    frames = frames - frames.mean(1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], 1)
    frames = frames - 0.97 * before
    frames = frames * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    power = np.abs(np.fft.rfft(frames, 512)) ** 2

    def mel(hertz):
        return 1127 * np.log(1 + hertz / 700)

    edges = np.linspace(mel(20), mel(8000), bins + 2)
    centres = mel(np.arange(257) * 16000 / 512)
    filters = np.zeros((bins, 257))
    for index in range(bins):
        left, centre, right = edges[index : index + 3]
        rising, falling = (centres - left) / (centre - left), (right - centres) / (right - centre)
        filters[index] = np.clip(np.minimum(rising, falling), 0, None)
    filters[:, 256] = 0  # Kaldi leaves the Nyquist bin out
    return np.log(np.maximum(power @ filters.T, np.finfo(np.float32).eps))


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * 16000)).astype(np.float32)


@pytest.mark.parametrize("bins", [40, 80])
def test_log_mel_is_kaldis(bins):
    samples = noise(0.5)
    np.testing.assert_allclose(log_mel(samples, bins), reference_log_mel(samples, bins), atol=2e-3)


def test_number_of_frames_and_too_short_audio():
    assert log_mel(noise(1.0)).shape == (98, 80)
    assert log_mel(noise(0.0249)).shape == (0, 80)


def test_speed_changes_tempo_and_pitch():
    seconds = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 1000 * seconds).astype(np.float32)
    fast = change_speed(tone, 1.25)
    assert len(fast) == pytest.approx(16000 / 1.25, abs=2)
    spectrum = np.abs(np.fft.rfft(fast[:12800]))
    assert np.argmax(spectrum) * 16000 / 12800 == pytest.approx(1250, abs=2)
    assert change_speed(tone, 1.0) is tone
    assert [speed_prefix(speed) for speed in (1.0, 0.9)] == ["", "sp0.9-"]


@pytest.fixture
def data(tmp_path):
    utterances = []
    for index, seconds in enumerate((0.3, 0.5, 0.4)):
        path = tmp_path / f"{index}.wav"
        soundfile.write(path, noise(seconds, index), 16000, subtype="FLOAT")
        utterances.append(Utterance(f"sp-u{index}", str(path), "a", "s", "en", seconds))
    write_data_dir(tmp_path / "data", utterances)
    return tmp_path / "data"


def test_archives_hold_every_speed_and_statistics_of_the_original(data, tmp_path):
    extract(data, tmp_path / "out", 40, speeds=(1.0, 0.9), workers=2)
    archive = kaldiio.load_scp(str(tmp_path / "out" / "feats.scp"))
    originals = [log_mel(noise(seconds, index), 40) for index, seconds in enumerate((0.3, 0.5, 0.4))]
    for index, wanted in enumerate(originals):
        np.testing.assert_allclose(archive[f"sp-u{index}"], wanted, atol=1e-3)
    frames = read_table(tmp_path / "out" / "utt2num_frames")
    assert {key: int(value) for key, value in frames.items()} == {key: len(archive[key]) for key in archive}
    assert sorted(archive) == sorted([f"{prefix}sp-u{i}" for i in range(3) for prefix in ("", "sp0.9-")])
    mean, std = mean_and_std([tmp_path / "out"])
    stacked = np.concatenate(originals)
    np.testing.assert_allclose(mean, stacked.mean(0), rtol=1e-4)
    np.testing.assert_allclose(std, stacked.std(0), rtol=1e-3)
    assert json.loads((tmp_path / "out" / "cmvn.json").read_text())["count"] == len(stacked)


def test_the_number_of_workers_does_not_change_a_byte(data, tmp_path):
    # The same relative path twice, because the index holds the archive's path.
    extract(data, tmp_path / "out", workers=1)
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    extract(data, tmp_path / "out", workers=3)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == first


def test_damaged_archives_are_found_by_their_checksums(data, tmp_path):
    out = tmp_path / "out"
    extract(data, out, 40)
    archive, whole = out / "feats.ark", (out / "feats.ark").read_bytes()
    intact = {key: matrix.copy() for key, matrix in Archive(out).items()}
    assert sorted(intact) == ["sp-u0", "sp-u1", "sp-u2"]

    changed = bytearray(whole)
    changed[-2000] ^= 1  # the lowest bit of a number: the matrix still looks like one
    archive.write_bytes(changed)
    damaged = Archive(out)
    np.testing.assert_array_equal(damaged["sp-u0"], intact["sp-u0"])
    with pytest.raises(SecateurError, match=r"out: the features of 'sp-u2' are damaged; delete the folder"):
        damaged["sp-u2"]

    archive.write_bytes(whole[:-100])
    with pytest.raises(SecateurError, match=r"features of 'sp-u2' are damaged"):
        Archive(out)["sp-u2"]
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SecateurError, match=rf"feats.ark: {len(whole) // 2} bytes, and a matrix should begin after"):
        Archive(out)
    archive.unlink()
    with pytest.raises(SecateurError, match=r"feats.ark: 0 bytes"):
        Archive(out)

    archive.write_bytes(whole)
    (out / "feats.crc32").unlink()
    assert all(np.array_equal(matrix, intact[key]) for key, matrix in Archive(out).items()), "an archive of others"


def test_a_disk_without_room_for_the_archive_is_told_first(data, tmp_path, monkeypatch):
    asked = []

    def full(*arguments):
        asked.append(arguments)
        raise SecateurError("no room")

    check = features.check_space
    monkeypatch.setattr(features, "check_space", full)
    with pytest.raises(SecateurError, match="no room"):
        extract(data, tmp_path / "out", 40, speeds=(1.0, 0.5))
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(features, "check_space", check)
    extract(data, tmp_path / "out", 40, speeds=(1.0, 0.5))
    # 1.2 s of audio, and 2.4 s at half the speed; 100 frames a second of 40 numbers of 4 bytes.
    assert asked == [(tmp_path / "out", round(3.6 * 100 * 40 * 4), "the archive of features")]
    assert (tmp_path / "out" / "feats.ark").stat().st_size < asked[0][1]


def test_audio_shorter_than_a_window_is_named(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(0.02), 16000)
    write_data_dir(tmp_path / "data", [Utterance("tiny", str(tmp_path / "x.wav"), "a", "s", "en", 0.02)])
    with pytest.raises(SecateurError, match="tiny: shorter than one 25 ms window at speed 1; exclude it"):
        extract(tmp_path / "data", tmp_path / "out")
    assert not (tmp_path / "out" / "feats.ark").exists()


def test_an_empty_data_directory_is_an_error(tmp_path):
    write_data_dir(tmp_path / "data", [])
    with pytest.raises(SecateurError, match="no utterances"):
        extract(tmp_path / "data", tmp_path / "out")
