"""Kaldi's log-mel energies, those of this project's own models.

{mel_bins: 80}
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from secateur.speech.features import log_mel
from secateur.speech.front_ends import FrontEnd

SHOWN = {"called": "Kaldi log-mel"}


def extractor(options: Mapping[str, Any]) -> FrontEnd:
    """Log-mel energies of so many bins."""
    return FrontEnd(options["mel_bins"], partial(log_mel, bins=options["mel_bins"]))
