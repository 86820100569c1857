"""At the target, the weights that training moves away from zero, however large they are (movement pruning).

Sanh et al. 2020; a yardstick for adaptive masks.
"""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import TARGET, Method, Shown
from secateur.pruning.options import ADAPT_EVERY


def hook(given: Given):
    """The largest weights of a fine-tuned model at first; then by the movement of weights."""
    from secateur.pruning.engines.movement import moving

    return moving(given)


METHOD = Method(hook, levels=TARGET, adapts=True, options={"adapt_every": ADAPT_EVERY})
SHOWN = Shown("movement", order=54, colour=4, marker="v", line="--", row="movement pruning")
