"""As imp-adaptive, but weights grow back by their gradient instead of their magnitude (RigL).

Evci et al. 2020; a yardstick for adaptive masks, which no threshold binds.
"""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import Method, Shown
from secateur.pruning.options import ADAPT_EVERY, DROP


def hook(given: Given):
    """The largest weights of the level before; the smallest exchanged for those of the greatest gradient."""
    from secateur.pruning.engines.rigl import growing

    return growing(given)


METHOD = Method(hook, adapts=True, options={"adapt_every": ADAPT_EVERY, "drop": DROP})
SHOWN = Shown("RigL", order=52, colour=3, marker="v", line="--", row="RigL")
