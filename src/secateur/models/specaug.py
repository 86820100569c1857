"""SpecAugment (Park et al. 2019) out of ESPnet2, applied to normalised features in training only."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

if TYPE_CHECKING:
    from espnet2.asr.specaug.specaug import SpecAug


@dataclass(frozen=True)
class SpecAugment:
    """The masks of SpecAugment (`secateur.core.options`); without any, nothing is masked."""

    frequency_masks: Annotated[int, {"minimum": 0}] = 2
    """Number of frequency masks."""
    frequency_width: Annotated[int, {"minimum": 1}] = 20
    """Widest frequency mask in bins."""
    time_masks: Annotated[int, {"minimum": 0}] = 2
    """Number of time masks."""
    time_width: Annotated[float, {"minimum": 0, "exclusiveMaximum": 1}] = 0.05
    """Widest time mask as a share of the frames."""


def specaug(options: SpecAugment) -> "SpecAug | None":
    """The augmentation that the options describe; None without any mask."""
    from espnet2.asr.specaug.specaug import SpecAug

    if not options.frequency_masks and not options.time_masks:
        return None
    return SpecAug(
        apply_time_warp=False,
        apply_freq_mask=options.frequency_masks > 0,
        freq_mask_width_range=(0, options.frequency_width),
        num_freq_mask=max(1, options.frequency_masks),
        apply_time_mask=options.time_masks > 0,
        time_mask_width_ratio_range=(0.0, options.time_width),
        num_time_mask=max(1, options.time_masks),
    )
