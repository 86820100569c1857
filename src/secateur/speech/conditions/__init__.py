"""Conditions: test sets made from a given one, one kind per file, and the registry that finds them in this folder.

Models are pruned and chosen on clean speech; where speech is noisy, distant or fast, what pruning removed may be missed
first. A condition is a split of its own, with the transcripts of the split that it is made `of`; another corpus has its
own, and is only set against that split.

To add a kind, add a file here: `some_kind.py` is the kind `some-kind`. The first line of its docstring describes it in
the schema; `SCHEMA`, a literal, has its options (`secateur.core.plugins`), and `apply(samples, rate, given, generator)`
gives the changed samples of one utterance, with its options in `given.options`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secateur.core.plugins import Plugins

if TYPE_CHECKING:
    import numpy as np

CONDITIONS = Plugins("condition", __name__, Path(__file__).parent, hyphens=True, mark="SCHEMA")
NARROW = ("languages", "searches")
COMMON = ("type", "of", *NARROW)
"""Keys of every entry of `conditions`; those that say where alone it is asked for."""


@dataclass(frozen=True)
class Given:
    """What a condition may use.

    Attributes:
        options: its own options, all of them.
        others: reads the samples of another utterance of the split, of so many as `count` says, in the order of a
            permutation that depends on the utterance: `others(0)` is never the utterance itself.
        count: how many other utterances there are.
    """

    options: Mapping[str, Any]
    others: "Callable[[int], np.ndarray]"
    count: int


def names(config: Mapping[str, Any], split: str, narrow: bool = True) -> list[str]:
    """The conditions of a study that are made of a split; `narrow`: also those for some languages or searches alone."""
    found = {name: entry for name, entry in config.get("conditions", {}).items() if entry["of"] == split}
    return [name for name, entry in found.items() if narrow or not any(entry.get(key) for key in NARROW)]


def source(entry: Mapping[str, Any], corpus: str) -> tuple[str, str]:
    """The corpus and the split whose utterances a condition has: those that it is `of`, or those of another corpus."""
    return entry.get("corpus", corpus), entry.get("split", entry["of"])


def options_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the kind of an entry of `conditions`."""
    return {key: value for key, value in entry.items() if key not in COMMON}
