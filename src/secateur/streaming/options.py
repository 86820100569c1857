"""How streaming is measured, for studies and the command line."""

from dataclasses import dataclass
from typing import Annotated

AtLeastOne = Annotated[int, {"minimum": 1}]


@dataclass(frozen=True, kw_only=True)
class StreamingOptions:
    """Keys of an entry of `streaming` (`secateur.core.options`)."""

    milliseconds: Annotated[int, {"minimum": 10}] = 100
    """Length of a piece."""
    utterances: AtLeastOne = 20
    """Of all languages together, if there are as many."""
    rounds: AtLeastOne = 5
    """Rounds; the median over them counts."""
