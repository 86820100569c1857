"""What a study runs of exported models, and where it goes. No heavy imports.

One job writes the ONNX files of a model and decodes them all, into `{model}/onnx/{search}`; `onnx.json` there says what
was written. The formats are its sub-models.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from secateur.compose.study import bare_runs
from secateur.exported import FILE
from secateur.heads import study as heads
from secateur.heads.study import checkpoints
from secateur.study.parts_of_models import decoded, first_seeds, no_models
from secateur.study.runs import Decoding, ModelRun, Timed, model_runs


@dataclass(frozen=True)
class ExportedDecoding(Decoding):
    """One model in every format, decoded on one split of one language with one search."""

    @property
    def folder(self) -> str:
        return f"{self.run.folder}/{folder(self.search)}"


def runs(config: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], ModelRun]]:
    """Every model that is exported, with its entry of `export`."""
    if not (entries := config.get("export")):
        return
    known = dict.fromkeys([*model_runs(config), *checkpoints(config), *bare_runs(config)])
    for entry in entries:
        for run in known:
            wanted = (run.corpus, run.model, run.scope) == (entry["corpus"], entry["model"], "all")
            if wanted and run.method in entry["methods"]:
                yield entry, run


def targets(config: Mapping[str, Any]) -> dict[str, str]:
    """By name of a device, the file that a bundle wrote there, relative to the study's folder."""
    named = config.get("timing", {}).get("targets", {})
    return {name: os.path.relpath(file, f"results/{config['study']}") for name, file in named.items()}


def folder(search: str) -> str:
    """Where the files and hypotheses of a model are, below its own folder."""
    return f"onnx/{search}"


def entry_of(config: Mapping[str, Any], run: ModelRun) -> Mapping[str, Any]:
    """The entry of `export` that is about a model."""
    return next(entry for entry, other in runs(config) if other.folder == run.folder)


def systems_file(run: ModelRun, search: str) -> str:
    """What was written."""
    return f"{run.folder}/{folder(search)}/{FILE}"


def decodings(config: Mapping[str, Any]) -> Iterator[ExportedDecoding]:
    """Every decoding of exported models."""
    return decoded(config, runs(config), ExportedDecoding)


def forms(config: Mapping[str, Any]) -> Iterator[tuple[ModelRun, str, str]]:
    """(model, search, format) of what is exported of searches whose language models are compared; first without one."""
    for entry, run in heads.runs(config):
        for part, other in runs(config):
            if other.folder == run.folder:
                found = [search for search in entry["lms"] if search in part["searches"]]
                for search in sorted(found, key=lambda search: config["searches"][search].get("lm") is not None):
                    yield from ((run, search, form) for form in part["formats"])


def decodings_of_forms(config: Mapping[str, Any]) -> Iterator[ExportedDecoding]:
    """The decodings that the rows of formats are made of."""
    chosen = {(run.folder, search) for run, search, _ in forms(config)}
    return (one for one in decodings(config) if (one.run.folder, one.search) in chosen)


def timed(config: Mapping[str, Any]) -> Iterator[Timed]:
    """All formats of a model, on the first seed."""
    for run, search in first_seeds(config, runs(config)):
        yield Timed(run, search, onnx=systems_file(run, search))


KIND = no_models(timed)
