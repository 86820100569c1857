"""What a study runs of early exit, and where it goes. No heavy imports.

One job chooses thresholds on the dev data and decodes a model at all of them, into `{model}/exits/{search}`; the file
`exits.json` there says what was chosen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from secateur.study.runs import Decoding, Kind, ModelRun, Timed, languages, splits

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
    for entry, run in runs(config):
        for split in splits(config, run.corpus):
            for language in languages(config, run.corpus, run.scope):
                for search in entry["searches"]:
                    yield ExitsDecoding(run, split, language, search)


def timed(config: Mapping[str, Any]) -> Iterator[Timed]:
    """All points of a model, on the first seed."""
    for entry, run in runs(config):
        if run.seed == config["seeds"][0]:
            for search in entry["searches"]:
                yield Timed(run, search, exits=exits_file(run, search))


def _none(config: Mapping[str, Any], run: ModelRun) -> Any:
    raise AssertionError("early exit makes no model of its own")


KIND = Kind(
    owns=lambda method: False,
    runs=lambda config: iter(()),
    parents=_none,
    training=_none,
    searches=_none,
    shape=lambda config: {},
    timed=timed,
)
