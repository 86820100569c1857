"""The bootstrap of this project (Efron 1979): the spread of a number over test sets drawn from the one at hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from secateur.statistics.student import CONFIDENCE, detectable, normal_cdf, normal_quantile, t_cdf, t_quantile

DRAWS = 10_000
_CELLS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Resampled:
    """A number and its values on resampled data.

    A bootstrap of few units is too narrow: its variance is (n − 1)/n of what it should be, and it knows nothing of
    Student's t. So wider percentiles are read (T. Hesterberg, "What teachers should know about the bootstrap", The
    American Statistician 69, 2015, section 5.3), here for the N units of all samples together, with N minus the number
    of samples as degrees of freedom; p-values are read the same way.

    Attributes:
        value: of the data themselves.
        draws: (R,) values on resampled data; NaN among them, where a draw has none, is left out.
        sizes: units in each of the samples that were drawn from; None for draws to be read as they are.
    """

    value: float
    draws: np.ndarray
    sizes: Sequence[int] | None = None

    @property
    def low(self) -> float:
        """Lower end of the 95 % confidence interval."""
        return self._ends[0]

    @property
    def high(self) -> float:
        """Upper end of the 95 % confidence interval."""
        return self._ends[1]

    @property
    def detectable(self) -> float:
        """The smallest true distance from any bound that is shown with a probability of 80 %."""
        df, scale = self._spread
        return float(detectable(scale * np.nanstd(self.draws), df))

    def p_below(self, bound: float) -> float:
        """p-value, one-sided, of the hypothesis that the number is at least `bound`: small if it is below.

        One is added to the draws and to those that contradict, so that it is never 0 (Davison & Hinkley 1997, 4.2).
        Where none contradicts, draws say no more, and many claims at a time want more: the distance to the bound is
        then measured by that to the end of the interval on its side, as a t statistic.
        """
        return self._p(np.count_nonzero(self.draws >= bound), self.high - self.value, bound - self.value)

    def p_above(self, bound: float) -> float:
        """As `p_below`, of the hypothesis that the number is at most `bound`."""
        return self._p(np.count_nonzero(self.draws <= bound), self.value - self.low, self.value - bound)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        tail = _percentile((1 - CONFIDENCE) / 2, *self._spread)
        low, high = np.nanpercentile(self.draws, [100 * tail, 100 * (1 - tail)])
        return float(low), float(high)

    def _p(self, against: int, end: float, distance: float) -> float:
        share = (against + 1) / (np.count_nonzero(~np.isnan(self.draws)) + 1)
        df, scale = self._spread
        read = float(t_cdf(normal_quantile(share) / scale, df)) if share < 1 else 1.0
        if against or end <= 0:
            return read
        return min(read, float(t_cdf(t_quantile((1 - CONFIDENCE) / 2, df) * distance / end, df)))

    @property
    def _spread(self) -> tuple[float, float]:
        """Degrees of freedom, and by what the draws' deviations fall short."""
        units = sum(self.sizes or ())
        df = units - len(self.sizes or ())
        return (df, (units / df) ** 0.5) if df else (np.inf, 1.0)


@lru_cache
def _percentile(probability: float, df: float, scale: float) -> float:
    """The share of draws below what stands for the quantile of `probability`."""
    return float(normal_cdf(t_quantile(probability, df) * scale))


def resample(
    value: float,
    statistic: Callable[..., np.ndarray],
    sizes: Sequence[int],
    seed: int = 0,
    cells: int = 1,
) -> Resampled:
    """Draw `DRAWS` times as many units as there are from every sample, with replacement.

    Args:
        value: of the data themselves.
        statistic: the values (R,) of R draws. It is given one array of indices (R, n) for each of `sizes`.
        sizes: units n in each sample. Samples are drawn from independently: strata (languages), or the ways of a
            table whose rows and columns are both samples (A. B. Owen, "The pigeonhole bootstrap", The Annals of
            Applied Statistics 1, 2007): rounds and utterances.
        cells: numbers that `statistic` holds for every index, to bound its memory; it changes no result.
    """
    generators = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(len(sizes))]
    at_once = max(1, _CELLS_AT_ONCE // (max(sizes) * cells))
    values = []
    for start in range(0, DRAWS, at_once):
        count = min(at_once, DRAWS - start)
        draws = [generator.integers(0, size, (count, size)) for generator, size in zip(generators, sizes, strict=True)]
        values.append(statistic(*draws))
    return Resampled(float(value), np.concatenate(values), sizes)


def multiplicities(draws: np.ndarray) -> np.ndarray:
    """How often each unit is in each draw: counts (R, n) of indices (R, n)."""
    rows, units = draws.shape
    places = draws + units * np.arange(rows)[:, None]
    return np.bincount(places.ravel(), minlength=rows * units).reshape(rows, units)
