"""Without training, the weights that the others can least make up for, which do so (SparseGPT).

Frantar & Alistarh 2023.
"""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import DENSE, Method, Shown
from secateur.pruning.options import CALIBRATION


def hook(given: Given):
    """The costliest weights, changed to make up for those that are removed."""
    from secateur.pruning.engines import activations

    return activations.by(activations.sparse_gpt)(given)


METHOD = Method(hook, start=DENSE, ranked=DENSE, trains=False, options={"calibration": CALIBRATION})
SHOWN = Shown("SparseGPT", order=64, colour=5, marker="2", line="-.", row="SparseGPT")
