"""Measure how fast encoders extract features from a set's audio, in turns, and count parameters and arithmetic.

The first encoder is timed twice, the second time as A/A: the two must not differ.

With --base the encoders are replaced by some of WavLM base's size and their shape, with random weights: time does not
depend on what the weights are.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from secateur.core import devices
from secateur.core.errors import SecateurError
from secateur.core.files import write_json
from secateur.decoding.timing import AGAIN, relative_time
from secateur.models.size import parameter_counts
from secateur.models.tensors import bytes_of, save_tensors
from secateur.models.upstream.config import EncoderConfig
from secateur.models.upstream.encoder import Encoder
from secateur.speech.features import SAMPLE_RATE
from secateur.ssl.checkpoints import load_upstream
from secateur.ssl.speed import extraction, in_rounds, macs_per_second, scaled
from secateur.ssl.waves import WaveExamples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoders", type=Path, nargs="+", required=True, help="folders, that of the teacher first")
    parser.add_argument("--names", nargs="+", help="what to call them (their folders)")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories with the audio")
    parser.add_argument("--most-seconds", type=float, help="take only the first utterances, up to so much audio (all)")
    parser.add_argument("--runs", type=int, default=6, help="rounds in which all of it is extracted")
    parser.add_argument("--base", action="store_true", help="measure models of WavLM base's size in these shapes")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to measure")
    parser.add_argument("--output", type=Path, required=True, help="speed.json to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    names = arguments.names or [str(folder) for folder in arguments.encoders]
    if len(set(names)) != len(arguments.encoders):
        raise SecateurError(f"--names: {names} for {len(arguments.encoders)} encoders; give each a name of its own")
    device = devices.pick(arguments.device)
    encoders = {name: load_upstream(folder) for name, folder in zip(names, arguments.encoders, strict=True)}
    if arguments.base:
        whole = encoders[names[0]].config
        torch.manual_seed(0)
        encoders = {
            name: Encoder(scaled(found.config, len(whole.shapes), EncoderConfig(), whole.conv_dim)).eval()
            for name, found in encoders.items()
        }
    encoders = {name: encoder.to(device) for name, encoder in encoders.items()}
    waves, left = {}, arguments.most_seconds or float("inf")
    examples = WaveExamples(arguments.data)
    shortest = max(encoder.config.receptive_field for encoder in encoders.values())
    for name in sorted(examples.lengths):
        samples = examples.read(name)
        if left > 0 and len(samples) >= shortest:
            waves[name] = torch.from_numpy(samples)
            left -= len(samples) / SAMPLE_RATE
    threads = devices.use_threads()
    measured = extraction(encoders, waves, arguments.runs, device)
    audio = sum(map(len, waves.values())) / SAMPLE_RATE
    facts = {name: facts_of(encoder) for name, encoder in encoders.items()}
    rows = [
        {
            "model": name,
            "seconds": in_rounds(found),
            "ratio": relative_time(found, measured.rows[names[0]]),
            **facts[names[0] if name == AGAIN else name],
        }
        for name, found in measured.rows.items()
    ]
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    about = {"device": place, "threads": threads, "audio_seconds": audio, "utterances": len(waves)}
    about |= {"random_weights": arguments.base, **measured.conditions}
    write_json(arguments.output, about | {"models": rows})
    record |= {"device": str(device), "doubt": measured.doubt}


def facts_of(encoder: Encoder) -> dict[str, Any]:
    """The size of an encoder and its arithmetic."""
    stored = bytes_of(lambda file: save_tensors(file, encoder.state_dict()))
    return parameter_counts(encoder) | {"bytes": stored, "macs_per_second": macs_per_second(encoder)}
