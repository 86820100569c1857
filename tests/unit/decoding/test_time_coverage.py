"""Intervals of times cover the truth, by simulation: of means, medians, real-time factors, shares and ratios.

At least 93 % everywhere and at most 99 % on average, over a thousand simulations for each kind of data: from one round
to six, from a steady machine to one that is 10 % slower in some rounds. `make test-all` has more kinds.
"""

from functools import lru_cache

import numpy as np
import pytest

from secateur.decoding.timing import PARTS, latency_intervals, share_of_time, time_ratio
from secateur.statistics import bootstrap

TRIALS, DRAWS = 1000, 250
LEAST, MOST = 93.0, 99.0
MACHINES = {"steady": (0.0, 0.02, 0.0), "busy": (0.02, 0.05, 0.05), "unsteady": (0.1, 0.1, 0.05)}
"""How far rounds, and times within them, deviate, and the share of times that are stalls."""


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(bootstrap, "DRAWS", DRAWS)


def timed(generator, rounds, utterances, machine):
    """Durations (U,) and seconds of two systems (2, rounds, U, parts): the other does without most of the search."""
    of_rounds, within, stalls = machine
    durations = np.clip(generator.gamma(4.0, 1.0, utterances), 0.5, 20)
    encoder = 0.02 * durations**1.2 * np.exp(0.1 * generator.normal(size=utterances))
    search = 0.01 * durations * generator.gamma(2.0, 0.5, utterances)
    parts = np.stack([encoder, search, 0.5 * search], axis=-1)
    slower = np.exp(of_rounds * generator.normal(size=(rounds, 1, 1)))
    systems = []
    for mine in (parts, parts * [0.9, 0.5, 0.5]):
        seconds = mine * slower * np.exp(within * generator.normal(size=(rounds, utterances, 1)))
        stalled = generator.random((rounds, utterances, 1)) < stalls
        systems.append(seconds * np.where(stalled, 1 + generator.exponential(2.0, stalled.shape), 1))
    return durations, np.array(systems)


@lru_cache
def truth(machine):
    """What very many utterances have, in very many rounds."""
    durations, systems = timed(np.random.default_rng(99), 31, 100_000, (0.0, *machine[1:]))
    medians = np.median(systems, axis=1)
    totals = medians.sum(axis=2)
    return {
        "total_s": totals[0].mean(),
        "p50_s": np.median(totals[0]),
        "rtf": totals[0].sum() / durations.sum(),
        "ratio": totals[1].sum() / totals[0].sum(),
        "share": medians[0, :, 2].sum() / totals[0].sum(),
    }


def rows_of(durations, seconds):
    return [
        {"round": number, "utterance": str(place), "duration_s": durations[place]}
        | dict(zip(PARTS, seconds[number, place], strict=True))
        for number in range(len(seconds))
        for place in range(len(durations))
    ]


def coverage(rounds, utterances, machine):
    """In how many percent of simulations the interval of each number holds the truth."""
    generator, wanted = np.random.default_rng(rounds), truth(machine)
    inside = dict.fromkeys(wanted, 0)
    for trial in range(TRIALS):
        durations, systems = timed(generator, rounds, utterances, machine)
        first, second = (rows_of(durations, seconds) for seconds in systems)
        ends = latency_intervals(first, trial)
        ratio = time_ratio(second, first)
        ends["ratio"] = ratio.low, ratio.high
        ends["share"] = share_of_time(first, "lm_s")[1:]
        for name, value in wanted.items():
            inside[name] += ends[name][0] <= value <= ends[name][1]
    return {(name, rounds, utterances): 100 * count / TRIALS for name, count in inside.items()}


def check(kinds, machine):
    found = {}
    for rounds, utterances in kinds:
        found |= coverage(rounds, utterances, machine)
    low = {name: share for name, share in found.items() if share < LEAST}
    assert not low and np.mean(list(found.values())) <= MOST, found


def test_intervals_of_six_rounds_of_twenty_utterances_cover_the_truth():
    check([(6, 20)], MACHINES["busy"])


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_intervals_of_the_few_utterances_of_beam_searches_cover_the_truth(machine):
    check([(3, 12)], MACHINES[machine])


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_intervals_of_times_of_more_kinds_cover_the_truth(machine):
    """One round cannot tell how far rounds deviate."""
    kinds = [(6, 20), (3, 20), (6, 60), (3, 100)]
    check([(1, 40), *kinds] if machine == "steady" else kinds, MACHINES[machine])
