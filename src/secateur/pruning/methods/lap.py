"""As imp, one mask for all languages.

Language-agnostic pruning, a baseline of S3.
"""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import ALL, Method, Shown


def hook(given: Given):
    """The largest weights of the level before, fixed."""
    from secateur.pruning.engines.fixed import largest

    return largest(given)


METHOD = Method(hook, scope=ALL, nested=True)
SHOWN = Shown("LAP", order=30, colour=2, row="LAP", stage="2")
