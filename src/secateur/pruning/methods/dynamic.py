"""As pathways, but the masks adapt, and step up to the target (Dynamic ASR Pathways, S3)."""

from secateur.pruning.engines.given import Given
from secateur.pruning.methods import BY_LANGUAGE, DENSE, SOME, TARGET, Method, Shown
from secateur.pruning.options import ADAPTING


def hook(given: Given):
    """Every language ranks its mask and the weights in no other's again, every so many steps of its own."""
    from secateur.pruning.engines.dynamic import stepping_up

    return stepping_up(given)


METHOD = Method(
    hook,
    scope=SOME,
    levels=TARGET,
    start=DENSE,
    ranked=None,
    masks=BY_LANGUAGE,
    adapts=True,
    options=ADAPTING,
)
SHOWN = Shown("dynamic", order=110, marker="^", row="Dynamic ASR Pathways")
