"""The job that measures streaming models."""

from dataclasses import asdict
from typing import Any

from secateur.streaming import study as streaming
from secateur.streaming.options import StreamingOptions
from secateur.study.command import Command
from secateur.study.commands import masks, model_module
from secateur.study.options import part
from secateur.study.paths import Paths
from secateur.study.timing import SPLIT


def delays(paths: Paths, at: Any) -> Command:
    """What the models of an entry let their listeners wait for."""
    entry = streaming.entry_of(paths.config, at.corpus, at.model)
    found, codes = streaming.members(paths.config, entry), paths.languages(at.corpus)
    options = {
        "models": [paths.folder(run) for run in found],
        "names": [run.folder for run in found],
        "data": [f"{paths.root}/data/{at.corpus}/{code}/{SPLIT}" for code in codes],
        "formats": entry["formats"],
        **asdict(part(StreamingOptions, entry, "streaming")),
        "seed": paths.config["seeds"][0],
    }
    files = [file for run in found for file in (*paths.model(run.folder), *masks(paths, run))]
    files += [file for code in codes for file in paths.data(at.corpus, code, SPLIT)]
    return Command("stream_delays", options, tuple(files), (model_module(paths, at.model),))
