"""Another corpus: its utterances as they are, which nobody chose a model on; out of the domain, if it is another one.

The utterances are not those of the split that it is set against (`of`), so that costs are compared without pairs.
"""

import numpy as np

from secateur.speech.conditions import Given

SCHEMA = {
    "corpus": {"description": "An entry of `corpora`, in whose languages models are heard on it.", "type": "string"},
    "split": {"description": "Its split.", "type": "string", "default": "test"},
}


def apply(samples: np.ndarray, rate: int, given: Given, generator: np.random.Generator) -> np.ndarray:
    """Samples (T,) as they are."""
    return samples
