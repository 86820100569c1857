"""The sparsities of a schedule."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from secateur.core.options import read
from secateur.pruning.options import CubicLevels


def spelled_out(levels: Sequence[float] | Mapping[str, Any]) -> list[float]:
    """A list of levels as it is; `type: cubic` as the levels s_k = s_f + (s_i − s_f)·(1 − k/n)³, k = 1 … n.

    That is Zhu & Gupta's schedule (2018, equation 1; S3's reference for its figure 1), with s_i the initial sparsity,
    s_f the target and n the number of levels: most is removed while there is much to remove. Sparsities have three
    decimals, halves rounded up, as folders name them.
    """
    if not isinstance(levels, Mapping):
        return list(levels)
    cubic = read(CubicLevels, levels, "levels")
    first, target = Fraction(str(cubic.initial)), Fraction(str(cubic.target))
    exact = [target + (first - target) * (1 - Fraction(k, cubic.count)) ** 3 for k in range(1, cubic.count + 1)]
    return [math.floor(1000 * level + Fraction(1, 2)) / 1000 for level in exact]
