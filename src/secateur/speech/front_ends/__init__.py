"""Front ends: what makes features of samples for models that were trained elsewhere, one a file, found by listing.

Models of a study's own read `secateur.speech.features.log_mel`, and so does `fbank` here. A front end is a file with
the literal SHOWN = {"called": …} and

    extractor(options) -> FrontEnd    of the options that a model's description gives beside `front_end`

The function of a `FrontEnd` may be sent to other processes: a `functools.partial` of a function of the file's top.
It gives about 100 frames a second, which batches, searches and checks count on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secateur.core.plugins import Plugins

FRONT_ENDS = Plugins("front end", __name__, Path(__file__).parent, mark="SHOWN")


@dataclass(frozen=True)
class FrontEnd:
    """What makes features.

    Attributes:
        width: values of a frame, F.
        compute: samples (N,), float32 in [-1, 1] at 16 kHz → features (T, F), float32.
    """

    width: int
    compute: Callable[[Any], Any]


def front_end(options: Mapping[str, Any]) -> FrontEnd:
    """The front end that `options` name under `front_end`. Raises SecateurError if there is none."""
    rest = {key: value for key, value in options.items() if key != "front_end"}
    return FRONT_ENDS.named(options["front_end"]).load().extractor(rest)
