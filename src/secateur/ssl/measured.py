"""How long encoders take, as `secateur ssl-speed` measures it: what tables and claims read of its files."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from secateur.decoding.timing import INTERVALS, PARTS, latency, latency_intervals
from secateur.reporting.results import Results
from secateur.reporting.times import SOUND
from secateur.ssl import study as upstreams


class EncoderTimes:
    """The encoders of an entry of one seed, of their own size or (`base`) in WavLM base's.

    Attributes:
        source: the file, relative to the study's folder.
    """

    def __init__(self, results: Results, entry: str, seed: int, base: bool):
        self.source = upstreams.speed_file(entry, seed, base)
        self._results = results

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """What holds for all: `device`, `threads`, the seconds of `utterances` and the columns `SOUND`."""
        return self._results.json(self.source, "models", "utterances", "doubt")

    @cached_property
    def models(self) -> dict[str, Mapping[str, Any]]:
        """By name: the sizes of an encoder, and its time as a multiple of the first one's (`ratio`)."""
        return {row["model"]: row for row in self.facts["models"]}

    @property
    def sound(self) -> dict[str, Any]:
        """The columns `SOUND`."""
        return {column: self.facts.get(column) for column in SOUND}

    def rows(self, model: str) -> list[dict[str, Any]]:
        """The seconds of an encoder by round and utterance, for `secateur.decoding.timing`."""
        nothing = dict.fromkeys(PARTS, 0.0)
        return [
            {"round": number, "utterance": name, "duration_s": duration, **nothing, PARTS[0]: seconds}
            for number, taken in enumerate(self.models[model]["seconds"], 1)
            for (name, duration), seconds in zip(self.facts["utterances"].items(), taken, strict=True)
        ]

    def latency(self, model: str) -> dict[str, float]:
        """As `secateur.decoding.timing.latency`; with `{name}_low` and `{name}_high` for the names in INTERVALS."""
        rows = self.rows(model)
        ends = latency_intervals(rows)
        found = latency(rows)
        for name in INTERVALS:
            found |= {f"{name}_low": ends[name][0], f"{name}_high": ends[name][1]}
        return found
