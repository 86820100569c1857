"""What a study runs of early exit, and where it goes. No heavy imports.

One job chooses thresholds on the dev data and decodes a model at all of them, into `{model}/exits/{search}`; the file
`exits.json` there says what was chosen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from secateur.study.parts_of_models import decoded, first_seeds, no_models
from secateur.study.runs import Decoding, ModelRun, Timed

FILE = "exits.json"


@dataclass(frozen=True)
class ExitsDecoding(Decoding):
    """One model, left as early as each of its points says, decoded on one split of one language with one search."""

    @property
    def folder(self) -> str:
        return f"{self.run.folder}/exits/{self.search}"


def runs(config: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], ModelRun]]:
    """Every model that is left early, with its entry of `exits`."""
    for entry in config.get("exits", ()):
        for seed in config["seeds"]:
            yield entry, ModelRun(entry["corpus"], entry["model"], "all", seed)


def entry_of(config: Mapping[str, Any], run: ModelRun) -> Mapping[str, Any]:
    """The entry of `exits` that is about a model."""
    return next(entry for entry, other in runs(config) if other == run)


def exits_file(run: ModelRun, search: str) -> str:
    """What was chosen on dev data."""
    return f"{run.folder}/exits/{search}/{FILE}"


def decodings(config: Mapping[str, Any]) -> Iterator[ExitsDecoding]:
    """Every decoding of models that are left early."""
    return decoded(config, runs(config), ExitsDecoding)


def timed(config: Mapping[str, Any]) -> Iterator[Timed]:
    """All points of a model, on the first seed."""
    for run, search in first_seeds(config, runs(config)):
        yield Timed(run, search, exits=exits_file(run, search))


KIND = no_models(timed)
