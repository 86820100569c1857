"""SpecAugment (Park et al. 2019) out of ESPnet2, applied to normalised features in training only."""

from espnet2.asr.specaug.specaug import SpecAug


def specaug(frequency_masks: int, frequency_width: int, time_masks: int, time_width: float) -> SpecAug | None:
    """The augmentation with so many masks; None without any. Widths are the widest: bins, and a share of the frames."""
    if not frequency_masks and not time_masks:
        return None
    return SpecAug(
        apply_time_warp=False,
        apply_freq_mask=frequency_masks > 0,
        freq_mask_width_range=(0, frequency_width),
        num_freq_mask=max(1, frequency_masks),
        apply_time_mask=time_masks > 0,
        time_mask_width_ratio_range=(0.0, time_width),
        num_time_mask=max(1, time_masks),
    )
