"""One set of weights with a mask for each language, which stays (ASR Pathways).

Yang et al. 2023, as S3 uses them.
"""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import BY_LANGUAGE, DENSE, MASKS, SOME, Method, Shown


def hook(given: Given):
    """The weights of every mask, trained by the batches of its language."""
    from secateur.pruning.engines.pathways import Pathways

    return Pathways(given.masks, given.steps)


METHOD = Method(hook, scope=SOME, levels=MASKS, start=DENSE, ranked=None, masks=BY_LANGUAGE)
SHOWN = Shown("pathways", order=100, marker="D", row="ASR Pathways", stage="3")
