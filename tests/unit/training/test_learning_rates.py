"""Learning rates of every schedule: by hand, and against the published formula."""

import math
from dataclasses import replace

import pytest

from secateur.training.options import TrainingOptions
from secateur.training.rates import learning_rate


def test_learning_rates_by_hand():
    options = TrainingOptions(learning_rate=1.0, warmup=4, steps=12)
    rates = {
        name: [learning_rate(replace(options, schedule=name), step) for step in (0, 3, 7, 11)]
        for name in ("noam", "linear", "cosine", "constant")
    }
    assert rates["noam"] == pytest.approx([0.25, 1.0, math.sqrt(0.5), math.sqrt(1 / 3)])
    assert rates["linear"] == pytest.approx([0.25, 1.0, 0.5, 0.0])
    assert rates["cosine"] == pytest.approx([0.25, 1.0, 0.5, 0.0])
    assert rates["constant"] == pytest.approx([0.25, 1.0, 1.0, 1.0])
    options = replace(options, schedule="wsd", decay=0.5)
    assert [learning_rate(options, step) for step in (0, 3, 5, 6, 8, 11)] == pytest.approx(
        [0.25, 1.0, 1.0, 5 / 6, 3 / 6, 0.0]
    )


def test_a_schedule_of_several_cycles_starts_again():
    once = TrainingOptions(learning_rate=1.0, warmup=2, steps=6, schedule="linear")
    thrice = replace(once, steps=18, cycles=3)
    assert [learning_rate(thrice, step) for step in range(18)] == [learning_rate(once, step) for step in range(6)] * 3
    # But wsd goes down in the last cycle alone: over its last half, three of six steps.
    thrice = replace(thrice, schedule="wsd", decay=0.5)
    rates = [0.5, 1, 1, 1, 1, 1, 0.5, 1, 1, 1, 1, 1, 0.5, 1, 1, 2 / 3, 1 / 3, 0]
    assert [learning_rate(thrice, step) for step in range(18)] == pytest.approx(rates)


def test_noam_agrees_with_the_published_formula():
    """lr = r·d^-0.5·min(s^-0.5, s·w^-1.5), Vaswani et al. 2017 eq. 3, with S2's r = 3, d = 256, w = 25 000."""
    peak = 3 * 256**-0.5 * 25000**-0.5
    options = TrainingOptions(learning_rate=peak, warmup=25000, schedule="noam", steps=10**6)
    for step in (1, 100, 25000, 90000):
        wanted = 3 * 256**-0.5 * min(step**-0.5, step * 25000**-1.5)
        assert learning_rate(options, step - 1) == pytest.approx(wanted)
