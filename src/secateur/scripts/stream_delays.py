"""Measure what streaming transducers let their listeners wait for, in turns, on the same utterances.

Every model is written as ONNX files, in each of --formats, and transcribes each utterance in pieces, as it would
arrive. The first model is the one that others are compared with, in the first format; it is timed twice, the second
time as A/A. systems.tsv in --output has a row for each, utterances.tsv one for each utterance of each.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from secateur.core import flags
from secateur.core.files import write_tsv
from secateur.core.jobs import names_of
from secateur.decoding.delays import speech_bounds
from secateur.decoding.onnx import FLOAT32, KINDS
from secateur.decoding.streaming import StreamingTransducer
from secateur.decoding.streaming_export import export_stream
from secateur.decoding.timing import AGAIN, measure
from secateur.pruning.masked import load_masked
from secateur.speech.datadir import Utterance, read_data_dir, sample
from secateur.speech.features import SAMPLE_RATE
from secateur.speech.made import samples_of
from secateur.streaming.listening import Listener
from secateur.streaming.options import StreamingOptions
from secateur.streaming.summary import COLUMNS, UTTERANCE_COLUMNS, called, summary, times


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", nargs="+", required=True, help="folders of the models, the whole one first")
    parser.add_argument("--names", nargs="+", help="what to call them (their folders)")
    parser.add_argument("--formats", nargs="+", choices=KINDS, default=[FLOAT32], help="of matrices of weights")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories, of all languages")
    flags.add(parser, StreamingOptions)
    parser.add_argument("--seed", type=int, default=1, help="seed of the utterances and their order")
    parser.add_argument("--output", type=Path, required=True, help="folder for systems.tsv and utterances.tsv")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    models = dict(zip(names_of(arguments.names, arguments.models), arguments.models, strict=True))
    options = flags.given(StreamingOptions, arguments)
    chosen = sample_of(arguments.data, options.utterances, arguments.seed)
    waves = {name: samples_of(utterance) for name, utterance in chosen.items()}
    bounds = {name: speech_bounds(samples, SAMPLE_RATE) for name, samples in waves.items()}
    durations = {name: len(samples) / SAMPLE_RATE for name, samples in waves.items()}
    with tempfile.TemporaryDirectory() as folder:
        listeners = {
            called(name, kind): Listener(exported(model, kind, Path(folder)), waves, options.milliseconds)
            for name, model in models.items()
            for kind in arguments.formats
        }
    whole = next(iter(listeners))
    measured = measure(listeners, whole, durations, options.rounds, arguments.seed)
    about = {"rounds": options.rounds, "milliseconds": options.milliseconds}
    utterances: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for system, listener in listeners.items():
        mine = [
            {"system": system, "utterance": name, "duration_s": durations[name], "text": heard.text}
            | dict(zip(("speech_begins", "speech_ends"), bounds[name], strict=True))
            | heard.facts(options.rounds, *bounds[name], options.milliseconds)
            for name, heard in sorted(listener.heard.items())
        ]
        utterances += mine
        found = summary(mine, utterances[: len(mine)], {name: one.text for name, one in chosen.items()})
        facts = {"latency": listener.model.about["algorithmic_latency"], "bytes": listener.model.bytes}
        rows.append({"system": system} | about | facts | found | times(measured, system, whole))
    rows.append({"system": AGAIN} | about | times(measured, AGAIN, whole))
    write_tsv(arguments.output / "systems.tsv", COLUMNS, rows)
    write_tsv(arguments.output / "utterances.tsv", UTTERANCE_COLUMNS, utterances)
    record |= {"seed": arguments.seed, "systems": len(listeners), "doubt": measured.doubt}


def sample_of(data: Sequence[Path], count: int, seed: int) -> dict[str, Utterance]:
    """`count` utterances of all languages together, by name."""
    known = {utterance.id: utterance for folder in data for utterance in read_data_dir(folder)}
    names = sample({name: utterance.language for name, utterance in known.items()}, -(-count // len(data)), seed)
    return {name: known[name] for name in names}


def exported(model: str, kind: str, folder: Path) -> StreamingTransducer:
    """A model in ONNX Runtime, whose files are written over. Raises SecateurError for one that does not stream."""
    loaded = load_masked(model)
    export_stream(loaded.model, loaded.config["features"], loaded.tokens, folder, kind)
    return StreamingTransducer(folder)
