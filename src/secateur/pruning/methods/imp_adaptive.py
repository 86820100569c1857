"""As imp, but the mask may change within a level.

Adaptive masking (S3).
"""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import Method, Shown
from secateur.pruning.options import ADAPTING


def hook(given: Given):
    """The largest weights of the level before; ranked again every so many steps."""
    from secateur.pruning.engines.adaptive import largest

    return largest(given)


METHOD = Method(hook, adapts=True, options=ADAPTING)
SHOWN = Shown("adaptive IMP", order=40, colour=0, marker="s", line="--", row="IMP, adaptive", stage="proposed")
