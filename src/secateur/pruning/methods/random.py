"""A control at the target: weights drawn at random."""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import TARGET, Method, Shown


def hook(given: Given):
    """A mask drawn for this seed and these languages, fixed."""
    from secateur.pruning.engines.fixed import drawn

    return drawn(given)


METHOD = Method(hook, levels=TARGET)
SHOWN = Shown(order=70, marker="P")
