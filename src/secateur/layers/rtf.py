"""The depth that a real-time factor allows, by what was timed (`timing.tsv` of the command `timing`)."""

from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv
from secateur.models.types import ENCODER


def depth_name(depth: int | str, of: str = ENCODER) -> str:
    """What a sub-model of so many layers is called where it is timed; which layers these are hardly matters."""
    return f"depth {depth}" if of == ENCODER else f"{of} depth {depth}"


def depth_name_of(sub_model: str) -> str:
    """What a sub-model is called where it is timed, by its name where it is decoded: `1,2,5`, `decoder 1,3`."""
    of, _, layers = sub_model.rpartition(" ")
    return depth_name(len(layers.split(",")), of or ENCODER)


def depth_within(file: str | Path, budget: float, device: str, search: str | None = None) -> int:
    """The greatest depth whose real-time factor is at most `budget`, of the first model that is timed at several.

    Args:
        device: `cpu` or `cuda`, on which it was measured.
        search: name of the search; by default the first that depths are timed with.

    Raises SecateurError when it was not measured, and when no depth is as fast.
    """
    timed = read_tsv(file)
    first = next((row for row in timed if row["sub_model"] == depth_name(row["depth"])), None)
    axes = first and (first["system"], search or first["search"], device.partition(":")[0])
    rows = [
        row
        for row in timed
        if (row["system"], row["search"], row["device"]) == axes and row["sub_model"] in ("", depth_name(row["depth"]))
    ]
    if not rows:
        raise SecateurError(f"{file}: depths were not timed on {device} with search {search!r}; time them (timing)")
    fits = [int(row["depth"]) for row in rows if float(row["rtf"]) <= budget]
    if not fits:
        fastest = min(rows, key=lambda row: float(row["rtf"]))
        raise SecateurError(
            f"{file}: no depth has a real-time factor of at most {budget:g}; the fastest has {fastest['depth']} layers "
            f"and {float(fastest['rtf']):.4g}"
        )
    return max(fits)
