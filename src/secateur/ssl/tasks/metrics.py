"""What SUPERB's tasks measure, in percent, with 95 % intervals over test items.

Trained heads and chosen thresholds stay as they are. Error rates are ratios of sums over items (`rate`), with the
intervals of `secateur.statistics.estimates`; shares of items that are right have those of `secateur.statistics.shares`.
Of what is measured over all items at once, an interval holds the middle 95 % of the values of resampled test sets. All
are resampled in the same way, so that two models can be compared on the same draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from secateur.core.errors import SecateurError
from secateur.statistics.bootstrap import Resampled, multiplicities, resample
from secateur.statistics.estimates import Estimate, TestSet, error_rate, over_seeds
from secateur.statistics.shares import Share

MISS_COST, FALSE_ALARM_COST, PRIOR = 100.0, 1.0, 0.0008
"""Of QUESST 2014 (Anguera et al., "Query by Example Search on Speech at MediaEval 2014")."""
FALSE_ALARM_WEIGHT = FALSE_ALARM_COST / MISS_COST * (1 / PRIOR - 1)
FOLDS = 5
"""Of queries, where thresholds are chosen on others."""
_NO_LENGTH = 1e-9
Groups = Sequence[tuple[Sequence[float], Sequence[int]]]


@dataclass(frozen=True)
class Measured:
    """A metric on test items.

    Attributes:
        number: what it is, with its interval.
        resampled: its values on resampled items, for differences from others on the same items.
        heads: its value by each of several heads.
    """

    number: Estimate | Share | Resampled
    resampled: Resampled
    heads: tuple[float, ...] = ()

    @classmethod
    def of(cls, number: Resampled) -> "Measured":
        """What has no other interval than that of its resampled values."""
        return cls(number, number)

    @property
    def value(self) -> float:
        return float(self.number.value)

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return float(self.number.low)

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval; of a single item that tells none, that of its resampled values."""
        high = float(self.number.high)
        return high if np.isfinite(high) else self.resampled.high


def rate(parts: Sequence[float], wholes: Sequence[int], seed: int = 0) -> Measured:
    """100·Σ parts / Σ wholes over items."""
    return mean_rate([(parts, wholes)], seed)


def mean_rate(groups: Groups, seed: int = 0) -> Measured:
    """The mean of the rates of groups of items, (parts, wholes), as of languages."""
    return Measured(_estimate(groups), resampled_rate(groups, seed))


def accuracy(right: Sequence[float], seed: int = 0) -> Measured:
    """Share of items that are right, or the mean of what is between 0 and 1."""
    return mean_accuracy([right], seed)


def mean_accuracy(folds: Sequence[Sequence[float]], seed: int = 0) -> Measured:
    """The mean of the shares of folds."""
    groups = [([float(one) for one in right], [1] * len(right)) for right in folds]
    draws = resampled_rate(groups, seed)
    variance = np.sum([np.var(right) / len(right) for right, _ in groups]) / len(groups) ** 2
    return Measured(Share(draws.value, 100 * float(variance) ** 0.5, sum(map(len, folds))), draws)


def resampled_rate(groups: Groups, seed: int) -> Resampled:
    """The mean over groups of 100·Σ parts / Σ wholes of their (parts, wholes), resampled within each."""
    counts = [(np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)) for parts, wholes in groups]

    def mean(*draws: np.ndarray) -> np.ndarray:
        rates = [
            100 * parts[drawn].sum(axis=1) / wholes[drawn].sum(axis=1)
            for (parts, wholes), drawn in zip(counts, draws, strict=True)
        ]
        return np.mean(rates, axis=0)

    value = np.mean([100 * parts.sum() / wholes.sum() for parts, wholes in counts])
    return resample(value, mean, [len(parts) for parts, _ in counts], seed)


def _estimate(groups: Groups) -> Estimate:
    """The mean of the rates of groups. Items of no length, as sentences without a slot, count with their errors."""
    parts = np.concatenate([np.asarray(parts, dtype=np.float64) for parts, _ in groups])
    wholes = [max(float(whole), _NO_LENGTH) for _, wholes in groups for whole in wholes]
    names = [str(place) for place, (_, wholes) in enumerate(groups) for _ in wholes]
    return error_rate(parts, TestSet(wholes, names))


def over_heads(found: Sequence[Measured], seed: int) -> Measured:
    """What heads of several seeds measured on the same items: the mean, over items and heads.

    `found` must be of the same draws of items. Of what has no standard error, in each draw as many heads are drawn,
    with replacement, as there are. A bootstrap of k heads is too narrow, so the distance of a draw from the mean of all
    heads is stretched by √(k / (k − 1)).
    """
    if len(found) == 1:
        return found[0]
    draws = np.stack([each.resampled.draws for each in found])
    heads = len(found)
    chosen = np.random.default_rng(seed).integers(0, heads, draws.shape)
    mean = draws.mean(0)
    drawn = np.take_along_axis(draws, chosen, 0).mean(0)
    spread = mean + (heads / (heads - 1)) ** 0.5 * (drawn - mean)
    values = tuple(each.value for each in found)
    first, value, sizes = found[0].number, float(np.mean(values)), found[0].resampled.sizes
    resampled = Resampled(value, mean, sizes)
    if isinstance(first, Resampled):
        return Measured(Resampled(value, spread, sizes), resampled, values)
    joined = over_seeds(values, [each.number.se for each in found if not isinstance(each.number, Resampled)])
    if isinstance(first, Share):
        return Measured(Share(joined.value, joined.se, first.items, joined.df), resampled, values)
    return Measured(replace(joined, utterances=first.utterances, floor=first.floor), resampled, values)


def equal_error_rate(
    scores: Sequence[float], match: Sequence[bool], first: Sequence[str], second: Sequence[str], seed: int = 0
) -> Resampled:
    """The rate at which as many matches are refused as mismatches accepted, over all thresholds on `scores`.

    Where the two rates cross between two thresholds, the point on the line that joins them counts (as on the convex
    pieces of a ROC curve drawn through its points). Trials share clips, so clips are resampled, not trials: a trial
    counts as often as its two clips are drawn together. `first` and `second` name the clips.
    """
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    ranked = np.asarray(scores, dtype=np.float64)[order]
    targets = np.asarray(match, dtype=bool)[order]
    if targets.all() or not targets.any():
        raise SecateurError("equal error rate: there must be trials of both kinds, matching and not; give more clips")
    # A threshold lies after the last of equal scores only.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    names = sorted({*first, *second})
    place = {name: index for index, name in enumerate(names)}
    left = np.array([place[name] for name in first])[order]
    right = np.array([place[name] for name in second])[order]

    def rates(weights: np.ndarray) -> np.ndarray:
        """EERs (R,) of trials with weights (R, N); NaN where one kind has no weight."""
        hits = np.cumsum(weights * targets, axis=1)
        alarms = np.cumsum(weights * ~targets, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            miss = 1 - hits[:, ends] / hits[:, -1:]
            alarm = alarms[:, ends] / alarms[:, -1:]
        start = np.ones((len(weights), 1))
        return _crossing(np.hstack([start, miss]), np.hstack([0 * start, alarm]))

    def resampled(draws: np.ndarray) -> np.ndarray:
        counts = multiplicities(draws)
        return 100 * rates((counts[:, left] * counts[:, right]).astype(np.float64))

    value = 100 * rates(np.ones((1, len(ranked))))[0]
    return resample(value, resampled, [len(names)], seed, cells=len(ranked) // len(names) + 1)


def _crossing(miss: np.ndarray, alarm: np.ndarray) -> np.ndarray:
    """Where falling `miss` (R, K) and rising `alarm` (R, K) meet, by linear interpolation."""
    gap = miss - alarm
    after = np.argmax(gap <= 0, axis=1)
    rows = np.arange(len(gap))
    before = np.maximum(after - 1, 0)
    high, low = gap[rows, before], gap[rows, after]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(high > low, high / (high - low), 0.0)
    return miss[rows, before] + share * (miss[rows, after] - miss[rows, before])


def maximum_term_weighted_value(
    scores: np.ndarray, match: np.ndarray, judged: np.ndarray | None = None, seed: int = 0
) -> Resampled:
    """The term-weighted value at the best threshold, the same for all queries (NIST; as QUESST 2014 uses it).

    TWV(θ) = 1 − mean over queries of [P_miss(θ) + β·P_fa(θ)] with β = (C_fa / C_miss)·(1 / P_target − 1) = 12.49. It is
    1 for a perfect search, 0 for one that finds nothing, and the maximum is never below 0.

    The best threshold on the test data is better there than it would be on others. So the interval is of what queries
    have at the threshold that is best for those of other folds (cross-validation), of which there are FOLDS. Queries
    are resampled, and thresholds chosen anew.

    Args:
        scores, match: of every query in every document (Q, N); every query must be in some document, not in all.
        judged: which of these pairs count (Q, N); all for None.
    """
    scores, match = np.asarray(scores, dtype=np.float64), np.asarray(match, dtype=bool)
    judged = np.ones_like(match) if judged is None else np.asarray(judged, dtype=bool)
    curves = []
    thresholds = np.unique(scores[judged])
    for row, found, counts in zip(scores, match, judged, strict=True):
        hits, others = np.sort(row[found & counts]), np.sort(row[~found & counts])
        if not len(hits) or not len(others):
            raise SecateurError("term-weighted value: a query occurs in no document, or in all; leave it out")
        miss = np.searchsorted(hits, thresholds, side="left") / len(hits)
        alarm = 1 - np.searchsorted(others, thresholds, side="left") / len(others)
        curves.append(1 - miss - FALSE_ALARM_WEIGHT * alarm)
    # (Q, thresholds), the highest first; above all of them, nothing is found.
    values = np.pad(np.array(curves)[:, ::-1], ((0, 0), (1, 0)))
    folds = [slice(first, None, FOLDS) for first in range(min(FOLDS, len(values)))]

    def resampled(draws: np.ndarray) -> np.ndarray:
        counts = multiplicities(draws)
        parts = [counts[:, fold] @ values[fold] for fold in folds]
        total = np.sum(parts, axis=0)
        chosen = [(total - part if len(parts) > 1 else total).argmax(axis=1) for part in parts]
        found = [part[np.arange(len(part)), place] for part, place in zip(parts, chosen, strict=True)]
        return 100 * np.maximum(0.0, np.sum(found, axis=0) / len(values))

    best = 100 * float(values.mean(0).max())
    return resample(best, resampled, [len(values)], seed, cells=FOLDS * (values.shape[1] // len(values) + 1))


def diarization_errors(reference: np.ndarray, hypothesis: np.ndarray) -> tuple[int, int]:
    """(frames in error, frames of speech) of a recording, each speaker counted, under the best assignment of speakers.

    Both are activities (T, speakers) of the same T. Errors are missed speech, false alarms, and speech given to the
    wrong speaker: Σ_t [max(N_ref, N_hyp) − N_correct], as in NIST's diarization error rate, without a collar.
    """
    from itertools import permutations

    reference, hypothesis = np.asarray(reference, dtype=bool), np.asarray(hypothesis, dtype=bool)
    if reference.shape != hypothesis.shape:
        raise ValueError(f"activities of shapes {reference.shape} and {hypothesis.shape}")
    most = np.maximum(reference.sum(1), hypothesis.sum(1)).sum()
    correct = max((reference & hypothesis[:, list(order)]).sum() for order in permutations(range(reference.shape[1])))
    return int(most - correct), int(reference.sum())
