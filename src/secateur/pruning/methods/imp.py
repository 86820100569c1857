"""One mask a language, level by level; weights go on from where training left them.

Iterative magnitude pruning (Han et al. 2015), one of the baselines of S3.
"""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import Method, Shown


def hook(given: Given):
    """The largest weights of the level before, fixed."""
    from secateur.pruning.engines.fixed import largest

    return largest(given)


METHOD = Method(hook, nested=True)
SHOWN = Shown("IMP", order=10, colour=0, row="IMP", stage="2")
