"""The depth that a real-time factor allows, by what was measured (`secateur.decoding.timing.measure`)."""

from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv

COLUMNS = (
    *("model", "depth", "layers", "search", "device", "rtf", "rtf_low", "rtf_high", "p50_s"),
    *("p50_s_low", "p50_s_high", "ratio", "ratio_low", "ratio_high", "rounds", "utterances", "batch", "threads"),
    *("same", "same_low", "same_high", "others", "measured", "doubt"),
)


def depth_within(file: str | Path, budget: float, device: str, search: str | None = None) -> int:
    """The greatest depth whose real-time factor is at most `budget`, by an `rtf.tsv` (`COLUMNS`).

    Args:
        device: `cpu` or `cuda`, on which it was measured.
        search: name of the search, as the file has it; by default its first.

    Raises SecateurError when it was not measured, and when no depth is as fast.
    """
    measured = read_tsv(file)
    search = search or measured[0]["search"]
    axes = (measured[0]["model"], search, device.partition(":")[0])
    rows = [row for row in measured if (row["model"], row["search"], row["device"]) == axes]
    if not rows:
        raise SecateurError(f"{file}: search {search!r} was not measured on {device}; measure it (depth_rtf.py)")
    fits = [int(row["depth"]) for row in rows if float(row["rtf"]) <= budget]
    if not fits:
        fastest = min(rows, key=lambda row: float(row["rtf"]))
        raise SecateurError(
            f"{file}: no depth has a real-time factor of at most {budget:g}; the fastest has {fastest['depth']} layers "
            f"and {float(fastest['rtf']):.4g}"
        )
    return max(fits)
