"""What counts as no worse, as equal and as certain: the section `claims` of a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from secateur.core.options import read


@dataclass(frozen=True)
class Margins:
    """The options of `claims` (`secateur.core.options`)."""

    margin: Annotated[float, {"exclusiveMinimum": 0}] = 1.0
    """The most by which the error rate of a system may be higher that is called no worse."""
    margin_unit: Literal["points", "relative"] = "points"
    """Whether that is in percentage points, or in percent of the reference's error rate (relative)."""
    time_margin: Annotated[float, {"minimum": 0}] = 0.1
    """The share by which a ratio of times may miss the published one, or 1, and count as the same."""
    score_margin: Annotated[float, {"minimum": 0}] = 20.0
    """The most points of the score over tasks, of 1000, by which an encoder may be lower that is called no worse."""
    level: Annotated[float, {"exclusiveMinimum": 0, "maximum": 0.5}] = 0.05
    """The chance that any verdict of the study is wrong, of all claims together (Holm's correction): half of it for
    the table of claims, a quarter each for systems no worse than the dense model and for depths."""


CLAIMS, SYSTEMS, DEPTHS = 0.5, 0.25, 0.25
"""The shares of `Margins.level` that verdicts have: on claims, on systems that are no worse than the dense one, and on
depths that are as good as models trained alone."""


def margins(config: Mapping[str, Any]) -> Margins:
    """Those of a study."""
    return read(Margins, config.get("claims", {}), "claims")
