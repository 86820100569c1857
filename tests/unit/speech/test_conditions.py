"""Test sets under conditions: what is added or taken away is what was asked for, and everything else stays."""

import numpy as np
import pytest
import soundfile

from secateur.core.errors import SecateurError
from secateur.speech import made
from secateur.speech.conditions import CONDITIONS, Given, names, options_of
from secateur.speech.conditions import source as where
from secateur.speech.conditions.noise import gain, pink
from secateur.speech.conditions.reverberation import impulse_response
from secateur.speech.datadir import Utterance, read_data_dir, write_data_dir
from secateur.speech.made import RATE, make

SECONDS = {"anna": 1.0, "bert": 1.5, "cleo": 0.7503}


def tone(pitch, seconds, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * pitch * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.fixture
def source(tmp_path):
    """Three recordings: tones of 200, 400 and 800 Hz."""
    utterances = []
    for place, (name, seconds) in enumerate(SECONDS.items()):
        soundfile.write(tmp_path / f"{name}.wav", tone(200 * 2**place, seconds), RATE, subtype="FLOAT")
        utterances.append(Utterance(name, str(tmp_path / f"{name}.wav"), f"said by {name}", name, "en", seconds))
    write_data_dir(tmp_path / "test", utterances)
    return tmp_path / "test"


def changed(source, condition, name="hard"):
    """The utterances under a condition, and their samples by name."""
    output = source.with_name(name)
    make(source, output, name, {"of": "test"} | condition)
    found = read_data_dir(output)
    return found, {one.id: made.samples_of(one) for one in found}


def applied(kind, samples, **options):
    return CONDITIONS.named(kind).load().apply(samples, RATE, Given(options, None, 0), np.random.default_rng(1))


def test_the_utterances_are_the_same_and_their_recording_is_one_file(source):
    found, samples = changed(source, {"type": "loudness", "gain": -6.0206})
    before = read_data_dir(source)
    assert [(one.id, one.text, one.speaker, one.language) for one in found] == [
        (one.id, one.text, one.speaker, one.language) for one in before
    ]
    assert {one.audio for one in found} == {str(source.with_name("hard") / "recording.flac")}
    for one in before:
        clean = made.samples_of(one)
        # Segments are of whole milliseconds, so at most 15 samples of silence follow; 16 bits are kept.
        assert 0 <= len(samples[one.id]) - len(clean) < 16
        np.testing.assert_allclose(samples[one.id][: len(clean)], clean / 2, atol=2**-14)


def test_another_corpus_stays_as_it_is_in_the_alphabet_of_the_model(source):
    condition = {"type": "corpus", "corpus": "other", "split": "test"}
    wanted = {"case": "upper", "apostrophe": "'"}
    make(source, source.with_name("ood"), "ood", {"of": "test"} | condition, wanted)
    for one, before in zip(read_data_dir(source.with_name("ood")), read_data_dir(source), strict=True):
        assert (one.id, one.text) == (before.id, before.text.upper())
        clean = made.samples_of(before)
        np.testing.assert_allclose(made.samples_of(one)[: len(clean)], clean, atol=2**-14)
    assert where({"of": "dev"}, "mine") == ("mine", "dev")
    assert where({"of": "dev"} | condition, "mine") == ("other", "test")


@pytest.mark.parametrize("noise", ["white", "pink", "babble"])
@pytest.mark.parametrize("snr", [0.0, 15.0])
def test_the_signal_to_noise_ratio_is_the_one_asked_for(source, noise, snr):
    _, samples = changed(source, {"type": "noise", "noise": noise, "snr": snr, "talkers": 2})
    for one in read_data_dir(source):
        clean, noisy = made.samples_of(one), samples[one.id]
        noisy = noisy[: len(clean)]
        # What is too loud is made quieter as a whole, so the share of the clean speech is found by projection.
        rest = noisy - clean * (noisy @ clean) / (clean @ clean)
        share = noisy @ clean / (clean @ clean)
        measured = 10 * np.log10(np.mean((share * clean) ** 2) / np.mean(rest**2))
        assert measured == pytest.approx(snr, abs=0.3)
        assert np.abs(noisy).max() <= 0.99


def test_the_gain_by_hand():
    # Mean squares 4 and 1: at 0 dB the noise is doubled, at 20 dB it is a tenth of that.
    speech, noise = np.array([2.0, -2.0]), np.array([1.0, -1.0])
    assert gain(speech, noise, 0) == pytest.approx(2)
    assert gain(speech, noise, 20) == pytest.approx(0.2)


def test_pink_noise_falls_by_three_decibels_an_octave():
    noise = pink(np.random.default_rng(2).standard_normal(RATE * 20), RATE)
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequencies = np.fft.rfftfreq(len(noise), 1 / RATE)

    def density(low):
        return power[(frequencies >= low) & (frequencies < 2 * low)].mean()

    for low in (100, 400, 1600):
        assert 10 * np.log10(density(low) / density(2 * low)) == pytest.approx(3.01, abs=0.3)
    assert power[frequencies < 50].max() < 1e-9 * power.max()


def test_babble_is_of_others_only(source):
    """With one talker it is one of the other two tones, never the utterance's own."""
    _, samples = changed(source, {"type": "noise", "noise": "babble", "snr": 0.0, "talkers": 1})
    for place, name in enumerate(SECONDS):
        spectrum = np.abs(np.fft.rfft(samples[name]))
        frequencies = np.fft.rfftfreq(len(samples[name]), 1 / RATE)
        loud = [200 * 2**other for other in range(3) if spectrum[np.abs(frequencies - 200 * 2**other) < 20].max() > 500]
        assert len(loud) == 2 and 200 * 2**place in loud


def test_babble_of_too_many_talkers_is_refused(source):
    with pytest.raises(SecateurError, match=r"conditions\.hard: anna: talkers: 6 and only 2 other utterances"):
        changed(source, {"type": "noise", "noise": "babble", "snr": 0.0, "talkers": 6})


def test_a_rooms_tail_dies_away_as_asked():
    response = impulse_response(RATE, 0.5, 3.0, np.random.default_rng(3))
    assert response[0] == 1.0 and len(response) == RATE // 2
    assert np.sum(response[1:] ** 2) == pytest.approx(10**-0.3)
    # 60 dB in half a second: 12 dB in a tenth.
    parts = [np.mean(response[start : start + 800] ** 2) for start in (800, 2400)]
    assert 10 * np.log10(parts[0] / parts[1]) == pytest.approx(12, abs=1)


def test_a_room_keeps_length_and_power():
    speech = np.random.default_rng(4).standard_normal(RATE)
    heard = applied("reverberation", speech, t60=0.4, direct=0.0)
    assert heard.shape == speech.shape and np.mean(heard**2) == pytest.approx(np.mean(speech**2))
    dry = applied("reverberation", speech, t60=0.4, direct=200.0)
    np.testing.assert_allclose(dry, speech, atol=1e-6)


def test_a_band_keeps_what_is_in_it_and_nothing_else():
    low, middle, high = (tone(pitch, 1.0) for pitch in (100, 1000, 5000))
    np.testing.assert_allclose(applied("band", low + middle + high, low=300, high=3400), middle, atol=1e-5)
    with pytest.raises(SecateurError, match="low: 4000 Hz is not below high, 3400 Hz"):
        applied("band", middle, low=4000, high=3400)


def test_speed_changes_length_and_pitch():
    fast = applied("speed", tone(1000, 1.0), factor=1.25)
    assert len(fast) == pytest.approx(RATE / 1.25, abs=2)
    spectrum = np.abs(np.fft.rfft(fast))
    assert np.argmax(spectrum) * RATE / len(fast) == pytest.approx(1250, abs=2)


def test_chance_depends_on_the_names_alone(source):
    """So a condition is the same in every run, and two conditions are not the same noise."""
    noise = {"type": "noise", "noise": "white", "snr": 5.0, "talkers": 1}
    first, again, other = (changed(source, noise, name)[1]["anna"] for name in ("hard", "hard", "harder"))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_conditions_of_a_split():
    config = {"conditions": {"a": {"type": "speed", "factor": 1.1, "of": "test"}, "b": {"of": "test-other"}}}
    assert names(config, "test") == ["a"] and names(config, "dev") == [] and names({}, "test") == []
    assert options_of(config["conditions"]["a"]) == {"factor": 1.1}
