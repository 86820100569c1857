"""Two sizes of one study: as written, for two cores, and in full, for a GPU or a cluster."""

from collections.abc import Mapping
from typing import Any

FULL = "full"


def lay_over(config: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Merge mappings and replace everything else, in place, as Snakemake does with a second configuration file."""
    for key, value in other.items():
        if isinstance(value, Mapping):
            if not isinstance(config.get(key), dict):
                config[key] = {}
            lay_over(config[key], value)
        else:
            config[key] = value


def expand(config: dict[str, Any]) -> None:
    """Lay what `full` gives over a study whose `scale` is full."""
    if config.get("scale") == FULL and isinstance(config.get(FULL), Mapping):
        lay_over(config, config.pop(FULL))


def problems(config: Mapping[str, Any]) -> list[str]:
    """What keeps a study from being run in full: to be asked before `expand`."""
    if config.get("scale") != FULL or config.get(FULL):
        return []
    return ["scale: this study has no full form; leave `scale` out, or say below `full` what differs in it"]
