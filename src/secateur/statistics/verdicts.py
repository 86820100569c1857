"""Verdicts on claims: what a claim says of a number, whether the number bears it out, and Holm's correction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from secateur.core.errors import SecateurError
from secateur.statistics.student import normal_cdf

SUPPORTED, NOT_SUPPORTED, UNDECIDED, NOT_TESTED = "supported", "not supported", "undecided", "not tested"
LEVEL = 0.05
"""Of all claims of a study together; two-sided, so that a verdict on a single claim goes with its 95 % interval."""


class Measured(Protocol):
    """A number with one-sided p-values, as `Estimate` and `Resampled` are."""

    value: float

    def p_below(self, bound: float) -> float: ...

    def p_above(self, bound: float) -> float: ...


@dataclass(frozen=True)
class Claim:
    """That a number lies strictly between `above` and `below`; at least one of them is finite.

    In a difference or relative change of error rates, reference last:
        better                      Claim(below=0)
        no worse, margin m          Claim(below=m)
        equal, margin m             Claim(above=-m, below=m)
        higher by more than m       Claim(above=m)
        lower by more than m        Claim(below=-m)

    Whether m is in points or in percent of the reference depends on the number that it is held against.
    """

    above: float = -np.inf
    below: float = np.inf

    def __post_init__(self):
        if not self.above < self.below or not np.isfinite([self.above, self.below]).any():
            raise SecateurError(
                f"a claim of a number above {self.above:g} and below {self.below:g}; expected at least one finite "
                "bound, the lower one first"
            )

    def p_for(self, number: Measured) -> float:
        """p-value of the hypothesis that the claim is false: small if the number bears it out.

        Both bounds must hold, each tested by itself (D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics
        15, 1987: two one-sided tests).
        """
        bounds = [(self.above, number.p_above), (self.below, number.p_below)]
        return max(test(bound) for bound, test in bounds if np.isfinite(bound))

    def p_against(self, number: Measured) -> float:
        """p-value of the hypothesis that the claim is true: small if the number contradicts it."""
        bounds = [(self.above, number.p_below), (self.below, number.p_above)]
        return min(test(bound) for bound, test in bounds if np.isfinite(bound))


@dataclass(frozen=True)
class AllOf:
    """That several claims hold together, each about a number of its own (fewer errors, and faster).

    It is borne out where each part is (an intersection–union test: R. L. Berger, Technometrics 24, 1982), and
    contradicted where any is, by Bonferroni's method.
    """

    parts: Sequence[Claim]

    def p_for(self, numbers: Sequence[Measured]) -> float:
        """The largest of the parts' p-values."""
        return max(part.p_for(number) for part, number in zip(self.parts, numbers, strict=True))

    def p_against(self, numbers: Sequence[Measured]) -> float:
        """The smallest of the parts' p-values, times their number."""
        least = min(part.p_against(number) for part, number in zip(self.parts, numbers, strict=True))
        return min(1.0, len(self.parts) * least)


@dataclass(frozen=True)
class Exact:
    """A number that is counted, not sampled: bytes, parameters."""

    value: float

    low = high = property(lambda self: self.value)
    detectable = 0.0

    def p_below(self, bound: float) -> float:
        return 0.0 if self.value < bound else 1.0

    def p_above(self, bound: float) -> float:
        return 0.0 if self.value > bound else 1.0


@dataclass(frozen=True)
class Ratio:
    """A ratio above 0 of which a file holds no more than the 95 % interval.

    Its p-values are those of a normal distribution on the scale of logarithms, as wide on either side as the interval
    is there: at an end of the interval they are 2.5 %.
    """

    value: float
    low: float
    high: float

    @property
    def detectable(self) -> float:
        """The smallest true distance from the value that is shown with a probability of 80 %."""
        if self.low <= 0:
            return float("inf")
        return self.value * float(np.expm1((1.96 + 0.8416) * np.log(self.high / self.low) / (2 * 1.96)))

    def p_below(self, bound: float) -> float:
        return self._p(bound)

    def p_above(self, bound: float) -> float:
        return 1.0 - self._p(bound)

    def _p(self, bound: float) -> float:
        """The chance of a number at most as large, if the truth is `bound`."""
        far = np.log(self.value / bound)
        above = bound > self.value
        width = np.inf if self.low <= 0 else np.log(self.high / self.value if above else self.value / self.low)
        return float(normal_cdf(1.96 * far / width)) if width > 0 else float(self.value >= bound)


@dataclass(frozen=True)
class Evidence:
    """What a study has on a claim.

    Attributes:
        claim: a `Claim`, or `AllOf` several.
        number: as measured; of `AllOf`, one for each part.
        doubt: why it must not be relied on, whatever it is (a measurement of times that failed its own test); or "".
    """

    claim: Claim | AllOf
    number: Any
    doubt: str = ""


@dataclass(frozen=True)
class Verdict:
    """One of SUPPORTED, NOT_SUPPORTED, UNDECIDED and NOT_TESTED, and why.

    `p_value` is two-sided, of this claim alone; `adjusted` is that corrected for all claims of the study. Both are None
    where nothing was tested.
    """

    verdict: str
    why: str
    p_value: float | None = None
    adjusted: float | None = None


def verdicts(claims: Mapping[str, Evidence | None], level: float = LEVEL, share: float = 1.0) -> dict[str, Verdict]:
    """The verdicts on all claims of a study; None is a claim that it has no data on.

    A claim is supported where its negation is rejected, not supported where it is rejected itself, and undecided where
    neither is. So that the chance of any wrong verdict among all stays below `level`, the p-values are corrected by
    Holm's method; each of them is twice that of the better supported side (J. P. Shaffer, The Annals of Statistics 8,
    1980, on directional decisions). Doubtful claims are undecided, and the others are not corrected for them.

    A study with several sets of claims gives each a `share` of the level, by which the p-values are divided; where the
    shares sum to 1, the chance of any wrong verdict in any of the sets stays below `level` (Bonferroni).
    """
    sides = {
        name: (found.claim.p_for(found.number), found.claim.p_against(found.number))
        for name, found in claims.items()
        if found and not found.doubt
    }
    p_values = [min(1.0, 2 * min(pair)) for pair in sides.values()]
    adjusted_values = [min(1.0, p_value / share) for p_value in holm(p_values)]
    corrected = dict(zip(sides, zip(p_values, adjusted_values, strict=True), strict=True))
    result = {}
    for name, found in claims.items():
        if not found:
            result[name] = Verdict(NOT_TESTED, "the study has no such systems")
        elif found.doubt:
            result[name] = Verdict(UNDECIDED, found.doubt)
        else:
            p_value, adjusted = corrected[name]
            supports, contradicts = sides[name]
            if adjusted <= level:
                verdict = SUPPORTED if supports < contradicts else NOT_SUPPORTED
                why = "the interval lies within the claim" if supports < contradicts else "the interval excludes it"
            else:
                verdict, why = UNDECIDED, "the interval holds both what is claimed and what is not"
                if p_value <= level:
                    why = f"clear by itself, but not as one of {len(sides)} claims (Holm's correction)"
            result[name] = Verdict(verdict, why, p_value, adjusted)
    return result


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being several (S. Holm, Scandinavian Journal of Statistics 6, 1979), in the same order.

    Those at most α are rejected with a chance of at most α that any rejection is wrong, however they depend.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    factors = np.arange(len(p_values), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * np.asarray(p_values, dtype=float)[order]))
    return adjusted.tolist()
