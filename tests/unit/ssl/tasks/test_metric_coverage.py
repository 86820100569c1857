"""Intervals of what SUPERB's tasks measure cover the truth, by simulation: `make test-all`.

At least 93 % everywhere and at most 99 % on average, over a thousand simulations for each kind of data. Intervals of
equal error rates are wide where scores are peculiar to pairs of clips: a bootstrap of both sides counts that three
times (A. B. Owen, "The pigeonhole bootstrap", The Annals of Applied Statistics 1, 2007).
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from secateur.ssl.tasks import metrics
from secateur.statistics import bootstrap
from secateur.statistics.student import normal_cdf

TRIALS, DRAWS = 1000, 300
LEAST, MOST = 93.0, 99.0
Made = Callable[[np.random.Generator], bootstrap.Resampled]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(bootstrap, "DRAWS", DRAWS)


def equal_error_rates() -> Iterator[tuple[Any, float, Made]]:
    """Trials of all pairs of clips, five of each speaker; scores are of the pair, and partly of either clip."""
    for speakers, clips, apart in ((8, 0.0, 2.0), (8, 0.5, 2.0), (12, 0.3, 3.0)):
        voices = np.arange(5 * speakers) % speakers
        first, second = np.array(list(combinations(range(len(voices)), 2))).T
        match = voices[first] == voices[second]

        def make(generator, clips=clips, apart=apart, first=first, second=second, match=match, voices=voices):
            own = np.sqrt(clips / 2) * generator.normal(size=len(voices))
            pairs = np.sqrt(1 - clips) * generator.normal(size=len(match))
            scores = apart * match + own[first] + own[second] + pairs
            return metrics.equal_error_rate(scores, match, list(map(str, first)), list(map(str, second)))

        yield (speakers, clips, apart), 100 * float(normal_cdf(-apart / 2)), make


def term_weighted_values() -> Iterator[tuple[Any, float, Made]]:
    """Queries that are in a tenth of the documents; scores are of the pair, and partly of the query."""
    thresholds = np.linspace(-5, 15, 4001)
    for queries, documents, own, apart in ((30, 100, 0.0, 4.0), (60, 100, 0.5, 4.0), (100, 50, 0.3, 5.0)):
        curve = normal_cdf(apart - thresholds) - metrics.FALSE_ALARM_WEIGHT * normal_cdf(-thresholds)

        def make(generator, queries=queries, documents=documents, own=own, apart=apart):
            match = np.zeros((queries, documents), dtype=bool)
            match[:, : documents // 10] = True
            scores = apart * match + np.sqrt(own) * generator.normal(size=(queries, 1))
            scores += np.sqrt(1 - own) * generator.normal(size=match.shape)
            return metrics.maximum_term_weighted_value(scores, match)

        yield (queries, documents, own, apart), 100 * float(curve.max()), make


def diarization_error_rates() -> Iterator[tuple[Any, float, Made]]:
    """Recordings of 10 to 40 s, whose shares of errors are skewed."""
    for recordings, rate, shape in ((60, 0.05, 2.0), (100, 0.2, 2.0), (300, 0.05, 1.0)):

        def make(generator, recordings=recordings, rate=rate, shape=shape):
            frames = generator.integers(1000, 4000, recordings)
            errors = np.minimum(rate * generator.gamma(shape, 1 / shape, recordings), 1) * frames
            return metrics.rate(errors.round(), frames)

        yield (recordings, rate, shape), 100 * rate, make


@pytest.mark.slow
def test_intervals_cover_the_truth():
    found = {}
    for kinds in (equal_error_rates, term_weighted_values, diarization_error_rates):
        for place, (name, truth, make) in enumerate(kinds()):
            generator = np.random.default_rng(place)
            numbers = (make(generator) for _ in range(TRIALS))
            found[kinds.__name__, name] = 100 * np.mean([one.low <= truth <= one.high for one in numbers])
    low = {name: share for name, share in found.items() if share < LEAST}
    assert not low and np.mean(list(found.values())) <= MOST, found
