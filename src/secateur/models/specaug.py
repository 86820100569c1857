"""SpecAugment (Park et al. 2019) out of ESPnet2, applied to normalised features in training only."""

from collections.abc import Mapping
from typing import Any

from espnet2.asr.specaug.specaug import SpecAug


def specaug(options: Mapping[str, Any]) -> SpecAug | None:
    """The augmentation that `training.specaug` describes; None without any mask.

    Keys: frequency_masks, frequency_width (bins), time_masks, time_width (share of the utterance's frames).
    """
    if not options["frequency_masks"] and not options["time_masks"]:
        return None
    return SpecAug(
        apply_time_warp=False,
        apply_freq_mask=options["frequency_masks"] > 0,
        freq_mask_width_range=(0, options["frequency_width"]),
        num_freq_mask=max(1, options["frequency_masks"]),
        apply_time_mask=options["time_masks"] > 0,
        time_mask_width_ratio_range=(0.0, options["time_width"]),
        num_time_mask=max(1, options["time_masks"]),
    )
