"""What a listener waits for, against numbers computed by hand."""

import numpy as np
import pytest

from secateur.decoding.delays import Delays, delays, shown_at, speech_bounds


def test_a_piece_is_shown_when_it_is_there_and_those_before_are_done():
    """The second piece, which takes 0.35 s, is worked on from 0.2 to 0.55 s; meanwhile the next two arrive."""
    there, took = [0.1, 0.2, 0.3, 0.4, 0.9], [0.05, 0.35, 0.05, 0.1, 0.2]
    assert shown_at(there, took) == pytest.approx([0.15, 0.55, 0.6, 0.7, 1.1])


def test_delays_are_from_the_beginning_and_the_end_of_speech():
    there, took, labels = [0.1, 0.2, 0.3, 0.4, 0.4], [0.05, 0.35, 0.05, 0.1, 0.2], [0, 0, 2, 1, 0]
    found = delays(there, took, labels, begins=0.12, ends=0.31)
    assert (found.first, found.last) == pytest.approx((0.6 - 0.12, 0.7 - 0.31))
    assert (found.first_waited, found.last_waited) == pytest.approx((0.3 - 0.12, 0.4 - 0.31))
    assert delays(there, took, [0] * 5, 0.1, 0.3) == Delays(None, None, None, None)


def test_a_machine_that_falls_behind_lets_its_listener_wait_longer_and_longer():
    """Pieces of 0.1 s take 0.15 s each: after ten the last is shown half a second late, and 0.15 s of its own."""
    found = delays([0.1 * (place + 1) for place in range(10)], [0.15] * 10, [1] * 10, 0.0, 1.0)
    assert (found.first, found.last) == pytest.approx((0.25, 0.1 + 10 * 0.15 - 1.0))


def test_speech_begins_and_ends_where_it_is_loud():
    """A tone from 0.5 to 1.25 s, with hiss 60 dB below before and after it; frames are of 25 ms, 10 ms apart."""
    rate = 16000
    samples = np.random.default_rng(0).standard_normal(2 * rate) * 5e-4
    samples[rate // 2 : 5 * rate // 4] += 0.5 * np.sin(np.arange(3 * rate // 4) * 0.3)
    begins, ends = speech_bounds(samples, rate)
    assert begins == pytest.approx(0.5, abs=0.025) and ends == pytest.approx(1.25, abs=0.025)
    assert speech_bounds(np.zeros(rate), rate) == (0.0, 1.0)
    assert speech_bounds(np.ones(100), rate) == (0.0, 100 / rate)
