"""How searches are tuned and timed, for studies, the command line and the library."""

from dataclasses import dataclass, field
from typing import Annotated

AtLeastOne = Annotated[int, {"minimum": 1}]
Weight = Annotated[float, {"minimum": 0}]


@dataclass(frozen=True, kw_only=True)
class TuningOptions:
    """The grid that is tried on dev data (`secateur.core.options`): `tuning` in `heads`."""

    lm_weights: Annotated[tuple[Weight, ...], {"minItems": 1, "uniqueItems": True}] = (0.2, 0.4, 0.6)
    """LM weights to try; a single one is not tuned."""
    length_bonuses: Annotated[tuple[float, ...], {"minItems": 1, "uniqueItems": True}] = (0.0, 0.5, 1.0)
    """Length bonuses to try, each with each weight; a single one is not tuned."""
    widen: Annotated[int, {"minimum": 0}] = 6
    """How many values may join the grid of a search whose best pair lies at its edge."""
    utterances: AtLeastOne = 100
    """Utterances of every language's dev set, if there are as many."""


@dataclass(frozen=True, kw_only=True)
class TimingAmount:
    """How much is timed (`secateur.core.options`)."""

    utterances: AtLeastOne = 20
    """Utterances of all languages together, if there are as many."""
    rounds: AtLeastOne = 6
    """Rounds; the median of an utterance over them counts."""


@dataclass(frozen=True, kw_only=True)
class BeamAmount(TimingAmount):
    """How much is timed of searches with a beam (`secateur.core.options`)."""

    utterances: AtLeastOne = 8
    """Utterances of all languages together, if there are as many."""
    rounds: AtLeastOne = 5
    """Rounds."""


@dataclass(frozen=True, kw_only=True)
class TimingOptions(TimingAmount):
    """The section `timing` of a study but for `targets`, files of the report (`secateur.core.options`)."""

    beam: BeamAmount = field(default_factory=BeamAmount)
    """The same for searches with a beam, which take longer and are timed by themselves."""


@dataclass(frozen=True, kw_only=True)
class TimedGroup(TimingAmount):
    """Searches that are timed together (`secateur.core.options`): a value of `--groups` of `secateur timing`."""

    searches: tuple[str, ...]
    """Their names."""
