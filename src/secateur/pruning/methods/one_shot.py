"""A control at the target: the largest weights at once."""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import TARGET, Method, Shown


def hook(given: Given):
    """The largest weights of a fine-tuned model, fixed."""
    from secateur.pruning.engines.fixed import largest

    return largest(given)


METHOD = Method(hook, levels=TARGET)
SHOWN = Shown(order=60, marker="X")
