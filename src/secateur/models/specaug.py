"""SpecAugment (Park et al. 2019) out of ESPnet2, applied to normalised features in training only."""

from espnet2.asr.specaug.specaug import SpecAug


def specaug(
    frequency_masks: int,
    frequency_width: int,
    time_masks: int,
    time_width: float,
    time_frames: int | None = None,
    time_warp: int = 0,
) -> SpecAug | None:
    """The augmentation with so many masks; None without any.

    Widths are below the widest: in bins, and as a share of the frames, or, with `time_frames`, in frames. `time_warp`
    is the window of time warping in frames; 0 for none.
    """
    if not frequency_masks and not time_masks and not time_warp:
        return None
    return SpecAug(
        apply_time_warp=time_warp > 0,
        time_warp_window=max(1, time_warp),
        apply_freq_mask=frequency_masks > 0,
        freq_mask_width_range=(0, frequency_width),
        num_freq_mask=max(1, frequency_masks),
        apply_time_mask=time_masks > 0,
        time_mask_width_range=None if time_frames is None else (0, time_frames),
        time_mask_width_ratio_range=(0.0, time_width) if time_frames is None else None,
        num_time_mask=max(1, time_masks),
    )
