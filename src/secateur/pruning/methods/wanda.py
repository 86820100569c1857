"""Without training, weights that are large and whose inputs are (Wanda).

Sun et al. 2024.
"""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import DENSE, Method, Shown
from secateur.pruning.options import CALIBRATION


def hook(given: Given):
    """The weights of the greatest |w|·‖x‖ of every output."""
    from secateur.pruning.engines import activations

    return activations.by(activations.wanda)(given)


METHOD = Method(hook, start=DENSE, ranked=DENSE, trains=False, options={"calibration": CALIBRATION})
SHOWN = Shown("Wanda", order=62, colour=5, marker="1", line="-.", row="Wanda")
