"""Measure how fast encoders extract features from a set's audio, in turns, and count parameters and arithmetic.

The first encoder is timed twice, the second time as A/A: the two must not differ.

With --base the encoders are replaced by some of WavLM base's size and their shape, with random weights: time does not
depend on what the weights are.
"""

import argparse
import itertools
from pathlib import Path
from typing import Any

import torch

from secateur.core import devices, flags
from secateur.core.errors import SecateurError
from secateur.core.files import write_json
from secateur.core.jobs import names_of
from secateur.decoding.timing import AGAIN, PARTS, relative_time
from secateur.models.size import parameter_counts
from secateur.models.tensors import bytes_of, save_tensors
from secateur.models.upstream.config import EncoderConfig
from secateur.models.upstream.encoder import Encoder
from secateur.speech.features import SAMPLE_RATE
from secateur.ssl.checkpoints import load_upstream
from secateur.ssl.options import SpeedOptions
from secateur.ssl.speed import cost, extraction, in_rounds, scaled
from secateur.ssl.waves import WaveExamples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoders", type=Path, nargs="+", required=True, help="folders, that of the teacher first")
    parser.add_argument("--names", nargs="+", help="what to call them (their folders)")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories with the audio")
    parser.add_argument("--most-seconds", type=float, help="take only the first utterances, up to so much audio (all)")
    flags.add(parser, SpeedOptions)
    parser.add_argument("--base", action="store_true", help="measure models of WavLM base's size in these shapes")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to measure")
    parser.add_argument("--output", type=Path, required=True, help="speed.json to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    names = names_of(arguments.names, arguments.encoders)
    device, options = devices.pick(arguments.device), flags.given(SpeedOptions, arguments)
    encoders = {name: load_upstream(folder) for name, folder in zip(names, arguments.encoders, strict=True)}
    if arguments.base:
        whole = encoders[names[0]].config
        torch.manual_seed(0)
        encoders = {
            name: Encoder(scaled(found.config, len(whole.shapes), EncoderConfig(), whole.conv_dim)).eval()
            for name, found in encoders.items()
        }
    encoders = {name: encoder.to(device) for name, encoder in encoders.items()}
    shortest = max(encoder.config.receptive_field for encoder in encoders.values())
    waves = chosen(WaveExamples(arguments.data), shortest, arguments.most_seconds, options.utterances)
    threads = devices.use_threads()
    measured = extraction(encoders, waves, options.runs, device)
    facts = {name: facts_of(encoder) for name, encoder in encoders.items()}
    rows = [
        {
            "model": name,
            "seconds": [[row[PARTS[0]] for row in of_round] for of_round in in_rounds(found)],
            "ratio": relative_time(found, measured.rows[names[0]]),
            **facts[names[0] if name == AGAIN else name],
        }
        for name, found in measured.rows.items()
    ]
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    about = {"device": place, "threads": threads}
    about["utterances"] = {name: len(wave) / SAMPLE_RATE for name, wave in waves.items()}
    about |= {"random_weights": arguments.base, **measured.conditions}
    write_json(arguments.output, about | {"models": rows})
    record |= {"device": str(device), "doubt": measured.doubt}


def chosen(examples: WaveExamples, shortest: int, seconds: float | None, least: int) -> dict[str, torch.Tensor]:
    """Waveforms (S_i,) of the first utterances of at least `shortest` samples, up to so many seconds; None for all.

    Where these are fewer than `least`, they are the beginnings of the first `least`, equally long at most. Raises
    SecateurError where no utterance is long enough.
    """
    names = [name for name in sorted(examples.lengths) if examples.lengths[name] >= shortest]
    if not names:
        raise SecateurError(f"--data: no utterance has {shortest} samples, which an encoder needs; give longer ones")
    most = float("inf") if seconds is None else seconds * SAMPLE_RATE
    before = itertools.accumulate((examples.lengths[name] for name in names), initial=0)
    whole = [name for name, samples in zip(names, before, strict=False) if samples < most]
    if len(whole) >= min(least, len(names)):
        return {name: torch.from_numpy(examples.read(name)) for name in whole}
    size = max(shortest, int(most / least))
    return {name: torch.from_numpy(examples.read(name)[:size]) for name in names[:least]}


def facts_of(encoder: Encoder) -> dict[str, Any]:
    """The size of an encoder, its arithmetic, and the memory that it takes."""
    stored = bytes_of(lambda file: save_tensors(file, encoder.state_dict()))
    return parameter_counts(encoder) | {"bytes": stored, **cost(encoder)}
