"""Shares of items that are right: intervals of what cannot be below 0 or above 100 %."""

from dataclasses import dataclass

import numpy as np

from secateur.statistics.student import CONFIDENCE, beta_quantile, t_quantile


@dataclass(frozen=True)
class Share:
    """A share in percent, and the interval of as many independent items as would have its standard error.

    That of a binomial count (C. J. Clopper and E. S. Pearson, Biometrika 26, 1934), with an effective number of items
    (E. L. Korn and B. I. Graubard, Survey Methodology 24, 1998): percentiles of resampled items say nothing where all
    are right, and too little where nearly all are.

    Attributes:
        value, se: the share and its standard error, in percent; arrays in simulations.
        items: how many there are; as many count where all are right, or none.
        df: degrees of freedom of the standard error.
    """

    value: float
    se: float
    items: int
    df: float = np.inf

    @property
    def low(self) -> float:
        """Lower end of the 95 % confidence interval."""
        right, wrong = self._counts
        some = right > 0
        return 100 * np.where(some, beta_quantile((1 - CONFIDENCE) / 2, np.where(some, right, 1), wrong + 1), 0.0)[()]

    @property
    def high(self) -> float:
        """Upper end of the 95 % confidence interval."""
        right, wrong = self._counts
        some = wrong > 0
        return 100 * np.where(some, beta_quantile((1 + CONFIDENCE) / 2, right + 1, np.where(some, wrong, 1)), 1.0)[()]

    @property
    def _counts(self) -> tuple[np.ndarray, np.ndarray]:
        """How many independent items are right and wrong."""
        share, se = np.asarray(self.value) / 100, np.asarray(self.se) / 100
        whole = (se == 0) | (share <= 0) | (share >= 1)
        items = np.where(whole, self.items, share * (1 - share) / np.where(whole, 1, se) ** 2)
        if self.items > 1:
            known, found = (t_quantile((1 + CONFIDENCE) / 2, df) for df in (self.items - 1, self.df))
            items = np.where(whole, items, items * np.minimum(1.0, (known / found) ** 2))
        return items * share, items * (1 - share)
