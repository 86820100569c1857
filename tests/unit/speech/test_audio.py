import logging

import numpy as np
import pytest
import soundfile
from G722 import G722

from secateur.core.errors import SecateurError
from secateur.speech import audio


def tone(seconds, rate, frequency=440.0, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def peak_frequency(samples, rate=16000):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * rate / len(samples)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_formats_of_libsndfile(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(1.0, 16000), 16000)
    samples = audio.read(path)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert abs(len(samples) - 16000) < 1600
    assert abs(peak_frequency(samples) - 440) < 2
    assert audio.info(path).rate == 16000


def test_lossless_formats_are_exact(tmp_path):
    wanted = tone(0.5, 16000)
    soundfile.write(tmp_path / "a.flac", wanted, 16000, subtype="PCM_24")
    assert np.allclose(audio.read(tmp_path / "a.flac"), wanted, atol=2e-7)
    assert audio.info(tmp_path / "a.flac") == audio.Header(8000, 16000)


def test_g722(tmp_path):
    encoded = bytes(G722(16000, 64000).encode((tone(1.0, 16000) * 32767).astype(np.int16)))
    (tmp_path / "a.g722").write_bytes(encoded)
    assert len(encoded) == 8000  # 64 kbit/s
    samples = audio.read(tmp_path / "a.g722")
    assert audio.info(tmp_path / "a.g722") == audio.Header(16000, 16000) and len(samples) == 16000
    assert abs(peak_frequency(samples) - 440) < 2
    assert 0.4 < np.abs(samples).max() < 0.6


def test_part_of_a_recording(tmp_path):
    ramp = np.arange(16000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", ramp, 16000)
    part = audio.read(tmp_path / "a.wav", 0.25, 0.5)
    assert np.array_equal(part * 32768, ramp[4000:8000])
    (tmp_path / "a.g722").write_bytes(bytes(G722(16000, 64000).encode(ramp)))
    assert np.array_equal(audio.read(tmp_path / "a.g722", 0.25, 0.5), audio.read(tmp_path / "a.g722")[4000:8000])


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([np.full(1600, 0.5), np.full(1600, -0.25)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16000, subtype="FLOAT")
    assert np.allclose(audio.read(tmp_path / "a.wav"), 0.125)


def test_other_rates_are_converted_and_logged_once(tmp_path, caplog):
    audio._log_resampling.cache_clear()
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", tone(1.0, 44100), 44100)
    with caplog.at_level(logging.INFO):
        samples = [audio.read(tmp_path / f"{name}.wav") for name in ("a", "b")]
    assert len(samples[0]) == 16000 and abs(peak_frequency(samples[0]) - 440) < 2
    assert [record.message for record in caplog.records] == ["converting recordings at 44100 Hz to 16000 Hz"]


def test_bad_files_are_named(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    (tmp_path / "empty.g722").touch()
    (tmp_path / "text.flac").write_text("this is no audio")
    for name in ("empty.wav", "empty.g722", "text.flac", "missing.wav", "missing.g722"):
        for function in (audio.read, audio.info):
            with pytest.raises(SecateurError, match=name):
                function(tmp_path / name)


def test_a_part_beyond_the_end_is_named(tmp_path):
    soundfile.write(tmp_path / "short.wav", tone(0.5, 16000), 16000)
    with pytest.raises(SecateurError, match=r"short\.wav: no audio between 2 s and 3 s"):
        audio.read(tmp_path / "short.wav", 2, 3)
