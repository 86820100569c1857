import numpy as np
import pytest
import soundfile
import torch
from superb_tones import HOP, RATE, WIDTH, Hears

from secateur.core.errors import SecateurError
from secateur.ssl.tasks.clips import Clip, Part, middle, recording, whole
from secateur.ssl.tasks.hidden import Hidden, joined
from secateur.ssl.tasks.prompts import read

CPU = torch.device("cpu")


@pytest.fixture
def clips(corpus):
    return [whole(utterance) for utterance in read(corpus, ["en"])["en"]["test"]]


def test_a_clip_is_encoded_once_and_alike_in_any_batch(clips):
    upstream = Hears()
    hidden = Hidden(upstream, CPU)
    hidden.prepare(clips)
    assert upstream.calls == 1
    frames, means = hidden.frames(clips), hidden.means(clips)
    assert upstream.calls == 1
    for clip, state, mean in zip(clips, frames, means, strict=True):
        (alone,) = Hidden(Hears(), CPU).frames([clip])
        assert state.dtype == torch.float16 and torch.equal(state, alone)
        assert state.shape == (2, len(clip.samples()) // HOP, WIDTH) and mean.shape == (2, WIDTH)
        torch.testing.assert_close(mean, state.float().mean(1), rtol=2e-3, atol=1e-3)
    assert hidden.seconds_encoded == pytest.approx(sum(clip.seconds for clip in clips))
    assert hidden.shape(clips[0]) == (2, WIDTH)


def test_means_alone_keep_no_frames(clips):
    hidden = Hidden(Hears(), CPU)
    hidden.prepare(clips, frames=False)
    assert not hidden._frames and len(hidden._means) == len(clips)


def test_what_does_not_fit_is_computed_again(clips):
    upstream = Hears()
    hidden = Hidden(upstream, CPU, memory=0)
    hidden.prepare(clips)
    first = hidden.frames(clips[:2])
    calls = upstream.calls
    assert torch.equal(hidden.frames(clips[:2])[1], first[1]) and upstream.calls == calls + 1


def test_frames_are_joined_to_keep_to_a_rate(clips):
    (whole_rate,) = Hidden(Hears(), CPU).frames(clips[:1])
    (half,) = Hidden(Hears(), CPU, rate=25).frames(clips[:1])
    (same,) = Hidden(Hears(), CPU, rate=60).frames(clips[:1])
    assert torch.equal(half, joined(whole_rate, 2)) and half.shape[2] == 2 * WIDTH
    assert torch.equal(same, whole_rate)
    assert joined(torch.arange(6.0).view(1, 3, 2), 2).tolist() == [[[0, 1, 2, 3], [4, 5, 4, 5]]]


def test_states_that_are_not_finite_are_refused_by_name(clips):
    class Broken(Hears):
        def forward(self, waveforms, lengths):
            (zeros, states), frames = super().forward(waveforms, lengths)
            return [zeros, states * 1e9], frames

    with pytest.raises(SecateurError, match=f"{clips[0].id}.*not finite"):
        Hidden(Broken(), CPU).frames(clips[:1])


def test_a_clip_too_short_for_a_frame_is_refused_by_name(tmp_path):
    soundfile.write(str(tmp_path / "short.wav"), np.zeros(200, np.float32), RATE)
    with pytest.raises(SecateurError, match=r"short\.wav: too short"):
        Hidden(Hears(), CPU).frames([recording(str(tmp_path / "short.wav"))])


def test_a_mixture_is_the_sum_of_its_parts(tmp_path):
    generator = np.random.default_rng(0)
    parts = [generator.uniform(-0.4, 0.4, count).astype(np.float32) for count in (1600, 3200)]
    for number, samples in enumerate(parts):
        soundfile.write(str(tmp_path / f"{number}.wav"), samples, RATE, subtype="FLOAT")
    clip = Clip(
        "mix", (Part(str(tmp_path / "0.wav")), Part(str(tmp_path / "1.wav"), 0.0, 0.1, offset=0.05, gain=0.5)), 0.15
    )
    expected = np.zeros(2400, np.float32)
    expected[:1600] += parts[0]
    expected[800:] += 0.5 * parts[1][:1600]
    np.testing.assert_allclose(clip.samples(), expected, atol=1e-6)


def test_the_middle_of_an_utterance(corpus):
    utterance = next(u for u in read(corpus, ["en"])["en"]["test"] if u.text == "bad abc fed")  # 11 letters, 1.76 s
    clip = middle(utterance, 0.16)
    assert clip.seconds == 0.16 and clip.id != utterance.id
    np.testing.assert_array_equal(clip.samples(), whole(utterance).samples()[12800:15360])
    assert middle(utterance, 5.0) == middle(utterance, None) == whole(utterance)
