"""Adaptive masking of one language (S3): the mask may change within a level, every n steps.

It is dynamic pathways of one language, whose free zone is all that its mask removes: removed weights are set to zero
but stay trainable, every n steps all magnitudes are ranked again, and the largest become the new mask.
"""

from secateur.pruning.engines.calendar import Calendar
from secateur.pruning.engines.dynamic import DynamicPathways, Softly, softly
from secateur.pruning.engines.given import Given
from secateur.pruning.engines.mask import ONE_FOR_ALL, Mask
from secateur.pruning.engines.ranking import magnitude_mask
from secateur.speech.data import Batch


class AdaptiveMask(DynamicPathways):
    """Adapt one mask for all batches, at one sparsity: that of the calendar's only level."""

    def __init__(self, mask: Mask, calendar: Calendar, ranking: str = "global", how: Softly | None = None):
        super().__init__({ONE_FOR_ALL: mask}, calendar, ranking, how)

    @property
    def mask(self) -> Mask:
        """The mask as it is; final when training ends."""
        return self.masks[ONE_FOR_ALL]

    def language(self, batch: Batch) -> str:
        return ONE_FOR_ALL


def largest(given: Given) -> AdaptiveMask:
    """The largest of the weights that are ranked, with the options of `secateur.pruning.options`."""
    mask = magnitude_mask(given.weights, given.sparsity, given.ranking, given.within)
    calendar = Calendar([given.sparsity], given.steps, given.options["adapt_every"], given.settle)
    return AdaptiveMask(mask, calendar, given.ranking, softly(given))
