"""Error rates of systems, their differences and relative changes, over utterances and seeds.

All seeds of a system read the same utterances, so seeds and utterances are crossed: an error count is that of the
system, plus what is peculiar to the seed, to the utterance, and to the two together. Neither utterances drawn again nor
seeds drawn again alone tell how far a number would move with both drawn again. With one seed, an interval is over
utterances: it says what this one model would do on others like them, and nothing of models trained again.

Intervals are Student's t around linearised estimates (W. G. Cochran, Sampling Techniques, 3rd edition, 1977, chapters 6
and 9: ratios and clusters), with F. E. Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946). Variances are
of what a rate moves by when a unit is left out: a long one has pulled the rate to itself. That makes them a little too
large for few units, as it should: of skewed counts, a coefficient of variation is mostly too small. For their skew,
intervals of rates and of their ratios are taken on the scale of logarithms.

All error counts may have leading axes, for simulations: every combination of these is a study of its own, and the
numbers of an `Estimate` are then arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secateur.core.errors import SecateurError
from secateur.statistics.student import CONFIDENCE, detectable, t_cdf, t_quantile

SPEAKERS = 10
"""From so many speakers of a language on, its speakers are what was sampled, and not only their utterances."""
NONE = -np.log((1 - CONFIDENCE) / 2) / 1.96
"""How many errors are the standard error of none at all: of 3.7 expected ones, 2.5 % of test sets would have none."""


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error; all in percent, or percentage points.

    Attributes:
        value, se, df: the number, its standard error, and the degrees of freedom of that.
        seeds: trained models behind it. With one, the interval is over utterances only.
        utterances: in all languages.
        floor: what the number cannot be below. From a finite one, distances are measured on the scale of logarithms.
    """

    value: float
    se: float
    df: float
    seeds: int
    utterances: int
    floor: float = -np.inf

    @property
    def low(self) -> float:
        """Lower end of the 95 % confidence interval."""
        return self._end(-1)

    @property
    def high(self) -> float:
        """Upper end of the 95 % confidence interval."""
        return self._end(1)

    @property
    def detectable(self) -> float:
        """The smallest true distance from 0, or any other bound, that is shown with a probability of 80 %."""
        return detectable(self.se, self.df)

    def p_below(self, bound: float) -> float:
        """p-value, one-sided, of the hypothesis that the number is at least `bound`: small if it is below."""
        return t_cdf(self._distance(bound), self.df)

    def p_above(self, bound: float) -> float:
        """As `p_below`, of the hypothesis that the number is at most `bound`."""
        return t_cdf(-self._distance(bound), self.df)

    def _end(self, side: int) -> float:
        step = side * t_quantile((1 + CONFIDENCE) / 2, self.df) * self.se
        plain = np.maximum(self.value + step, self.floor)
        if np.isinf(self.floor):
            return plain
        above = np.subtract(self.value, self.floor)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.where(above > 0, self.floor + above * np.exp(step / above), plain)[()]

    def _distance(self, bound: float) -> float:
        """How many standard errors the number is above `bound`."""
        plain = (self.value - bound) / self.se
        if np.isinf(self.floor):
            return plain
        above, others = np.subtract(self.value, self.floor), np.maximum(np.subtract(bound, self.floor), 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(above > 0, np.log(above / others) * above / self.se, plain)[()]


class TestSet:
    """The utterances that systems are compared on. Rates are unweighted means over languages, which are no sample.

    Args:
        lengths: (U,) words (or characters) of the references, above 0.
        languages: (U,) of the utterances; all of one language for None.
        speakers: (U,) of the utterances; unknown for None.

    Attributes:
        places: for every language, the places of its utterances, those of a unit side by side.
        starts: for every language, where in `places` its units begin. Units are speakers if there are `SPEAKERS` of
            them, else utterances.
        these_speakers: whether a language has fewer speakers, or none known: intervals then hold for its speakers only.
    """

    __test__ = False  # for pytest, which collects classes of this name

    def __init__(
        self, lengths: Sequence[int], languages: Sequence[str] | None = None, speakers: Sequence[str] | None = None
    ):
        self.lengths = np.asarray(lengths, dtype=np.float64)
        for name, column in (("languages", languages), ("speakers", speakers)):
            if column is not None and len(column) != len(lengths):
                raise SecateurError(f"{len(column)} {name} for {len(lengths)} utterances; give one for each")
        if not len(lengths) or not (self.lengths > 0).all():
            raise SecateurError("an utterance has an empty reference, or there is none; give some that have words")
        names = np.zeros(len(lengths), int) if languages is None else np.asarray(languages)
        self.places, self.starts, self.these_speakers = [], [], False
        for name in dict.fromkeys(names.tolist()):
            places = np.flatnonzero(names == name)
            starts = np.arange(len(places))
            voices = np.zeros(len(places), int) if speakers is None else np.asarray(speakers)[places]
            if len(np.unique(voices)) >= SPEAKERS:
                order = np.argsort(voices, kind="stable")
                places = places[order]
                starts = np.flatnonzero(np.append(True, voices[order][1:] != voices[order][:-1]))
            else:
                self.these_speakers = True
            self.places.append(places)
            self.starts.append(starts)


def error_rate(errors: np.ndarray, test: TestSet) -> Estimate:
    """Errors per hundred words, mean over languages and seeds; the same of any counts.

    Args:
        errors: (S, U) of S models trained with different seeds, or (U,) of one model.
    """
    return _estimate(*_contributions(errors, test), test, floor=0.0)


def difference(errors: np.ndarray, reference: np.ndarray, test: TestSet) -> Estimate:
    """`error_rate` of a system minus that of a reference, in percentage points, paired by utterance and seed.

    Args:
        errors, reference: (S, U), where the s-th of both belong together; (U,) if there is one model only, which is
            then given, not sampled: the seeds are those of the other side.
    """
    rates, base, pulls, base_pulls = _pair(errors, reference, test)
    return _estimate(rates - base, [a - b for a, b in zip(pulls, base_pulls, strict=True)], test)


def relative_change(errors: np.ndarray, reference: np.ndarray, test: TestSet) -> Estimate:
    """The difference in percent of the reference's error rate; the arguments are those of `difference`.

    It is that of the mean rates over seeds and languages. With r = A / B, dr = (dA − r·dB) / B.
    Raises SecateurError where the reference makes no errors.
    """
    rates, base, pulls, base_pulls = _pair(errors, reference, test)
    whole = base.mean(axis=-1, keepdims=True)
    if not whole.all():
        raise SecateurError("the reference makes no errors, to which none can be relative; compare percentage points")
    ratio = rates.mean(axis=-1, keepdims=True) / whole
    linear = 100 * (ratio - 1) + 100 * (rates - ratio * base) / whole
    scale = 100 / whole[..., None]
    pulls = [scale * (a - ratio[..., None] * b) for a, b in zip(pulls, base_pulls, strict=True)]
    return _estimate(linear, pulls, test, scale[..., 0, 0], floor=-100.0)


def over_seeds(values: Sequence[float], items: Sequence[float] = (0.0,), count: int = 0) -> Estimate:
    """The mean of a number that each seed's model has, by Student's t over seeds.

    Args:
        values: one for each seed.
        items: standard errors of these over what was measured on (test items), if that is known. All seeds are of the
            same items, so their mean counts in full; that the spread over seeds holds a part of it already makes the
            interval too wide, not too narrow. With one seed it is all that there is, and without it the interval is
            infinite.
        count: how many items there are.
    """
    seeds = len(values)
    over_items = float(np.mean(np.square(items)))
    spread = float(np.var(values, ddof=1)) / seeds if seeds > 1 else 0.0
    variance = over_items + spread
    if not variance and seeds == 1:
        return Estimate(float(values[0]), np.inf, 1.0, 1, count)
    freedom = seeds - 1
    df = np.inf if over_items else freedom
    if spread:  # its share counts as in `_joined`
        df = max(freedom, variance**2 / (spread**2 / freedom * (freedom + 2) / freedom))
    return Estimate(float(np.mean(values)), max(variance**0.5, 1e-12), df, seeds, count)


def mean_ratio(ratios: Sequence[float], items: Sequence[float]) -> Estimate:
    """The geometric mean of a ratio that each seed's models have: of times. Distances are on the scale of logarithms.

    Args:
        ratios: one for each seed, above 0.
        items: standard errors of their logarithms over what they were measured on, as in `over_seeds`.
    """
    logs = over_seeds(np.log(ratios).tolist(), items)
    mean = float(np.exp(logs.value))
    return Estimate(mean, mean * logs.se, logs.df, logs.seeds, logs.utterances, floor=0.0)


def of_two_groups(
    mine: Sequence[float], theirs: Sequence[float], items: float, items_df: float, count: int
) -> Estimate:
    """The mean of some models' numbers minus that of others', which are all of the same test items.

    Args:
        mine, theirs: one for each model (head) of either side, trained apart. One alone is given, not sampled.
        items: standard error of the difference over test items, paired.
        items_df: its degrees of freedom.
        count: how many items there are.
    """
    spreads = [(float(np.var(side, ddof=1)) / len(side), len(side) - 1) for side in (mine, theirs) if len(side) > 1]
    variance = items**2 + sum(spread for spread, _ in spreads)
    # Shares of few models count as in `_joined`.
    squares = items**4 / items_df + sum(spread**2 / df * (df + 2) / df for spread, df in spreads)
    df = variance**2 / squares if squares else items_df
    value = float(np.mean(mine) - np.mean(theirs))
    return Estimate(value, max(variance**0.5, 1e-12), df, max(len(mine), len(theirs)), count)


def _contributions(errors: np.ndarray, test: TestSet) -> tuple[np.ndarray, list[np.ndarray]]:
    """The rates (…, S) of the seeds, and for every language how far each of its units pulls each of them, (…, S, C).

    A rate moves by that when the unit is left out: 100 · (errors − rate · words) / words of the other units of the
    language / number of languages.
    """
    counts = np.atleast_2d(np.asarray(errors, dtype=np.float64))
    if counts.shape[-1] != len(test.lengths):
        raise SecateurError(
            f"error counts of shape {np.shape(errors)} for {len(test.lengths)} utterances; score the same data"
        )
    rates, pulls = np.zeros(counts.shape[:-1]), []
    for places, starts in zip(test.places, test.starts, strict=True):
        mine, lengths = counts[..., places], test.lengths[places]
        scale = 100 / lengths.sum() / len(test.places)
        total = mine.sum(axis=-1, keepdims=True)
        rates += scale * total[..., 0]
        pull = np.add.reduceat(scale * (mine - total / lengths.sum() * lengths), starts, axis=-1)
        with np.errstate(invalid="ignore"):  # of one unit
            pulls.append(pull / (1 - np.add.reduceat(lengths, starts) / lengths.sum()))
    return rates, pulls


def _pair(errors: np.ndarray, reference: np.ndarray, test: TestSet) -> tuple[Any, Any, Any, Any]:
    """The contributions of a system and its reference."""
    (rates, pulls), (base, base_pulls) = _contributions(errors, test), _contributions(reference, test)
    seeds, others = rates.shape[-1], base.shape[-1]
    if seeds != others and 1 not in (seeds, others):
        raise SecateurError(f"{seeds} seeds against {others}; compare the same seeds, or with one model")
    return rates, base, pulls, base_pulls


def _estimate(
    rates: np.ndarray, pulls: Sequence[np.ndarray], test: TestSet, scale: Any = 1.0, floor: float = -np.inf
) -> Estimate:
    """The mean of `rates` (…, S), with the standard error that the `pulls` on them, (…, S, C) by language, give.

    `scale` turns a percentage point into the unit of the rates.
    """
    value, seeds = rates.mean(axis=-1), rates.shape[-1]
    facts = {"seeds": seeds, "utterances": len(test.lengths), "floor": floor}
    if min(map(len, test.starts)) < 2:  # one unit shows no spread
        return Estimate(value, np.full_like(value, np.inf)[()], np.ones_like(value)[()], **facts)
    over_units, both, squares = 0.0, 0.0, 0.0
    for pull, places in zip(pulls, test.places, strict=True):
        mean, units = pull.mean(axis=-2, keepdims=True), pull.shape[-1]
        # Where no utterance differs, that one has one error more or less is still to be expected.
        least = (scale * 100 / test.lengths[places].sum() / len(pulls)) ** 2
        variance = np.maximum(units / (units - 1) * np.square(mean).sum(axis=(-2, -1)), least)
        over_units += variance
        # Of skewed counts the variance is known less well than its n − 1 say: V² / f is half of the variance of V.
        fourth = (units / (units - 1)) ** 2 * (mean**4).sum(axis=(-2, -1)) - variance**2 / units
        squares += np.maximum(variance**2 / (units - 1), fourth / 2)
        if seeds > 1:
            both += units / (units - 1) * np.square(pull - mean).sum(axis=(-2, -1)) / (seeds * (seeds - 1))
    if seeds == 1:
        se, df = np.sqrt(over_units), over_units**2 / squares
    else:
        se, df = _joined(rates.var(axis=-1, ddof=1) / seeds, over_units, both, squares, seeds)
    return Estimate(value, np.where(value > floor, se, NONE * se)[()], df, **facts)


def _joined(over_seeds: Any, over_units: Any, both: Any, squares: Any, seeds: int) -> tuple[Any, Any]:
    """Standard error and degrees of freedom of a mean over seeds and units.

    The variance of the seeds' rates and that of the units' each hold the variance of the two together, which must count
    once: V = V_seeds + V_units − V_both (as in the analysis of variance of a crossed design with random effects).

    Satterthwaite's degrees of freedom are V² over the sum of V_k² / f_k. With two or so degrees of freedom, V_seeds is
    often small by chance, which makes them too many just where V is too small: with three seeds intervals then cover
    92 %. With the seeds' share counted (f + 2) / f times, which is E[V_seeds²] / E[V_seeds]², they cover 94 % or more
    in simulations. There are never fewer than seeds − 1.
    """
    freedom = seeds - 1
    variance = np.maximum(over_units, over_seeds + over_units - both)
    share = over_seeds**2 / freedom * (freedom + 2) / freedom
    return np.sqrt(variance), np.maximum(freedom, variance**2 / (share + squares))
