"""As imp, but at every level what is left starts again from the dense weights.

The lottery ticket hypothesis (Frankle & Carbin 2019), as S3 uses it.
"""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import DENSE, Method, Shown


def hook(given: Given):
    """The largest weights of the level before, fixed; training starts from the dense ones."""
    from secateur.pruning.engines.fixed import largest

    return largest(given)


METHOD = Method(hook, start=DENSE, nested=True)
SHOWN = Shown("LTH", order=20, colour=1, row="LTH", stage="2")
