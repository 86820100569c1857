"""Measure how long an utterance spends in attention, by block and number of heads, for the policy `latency-aware`."""

import argparse
import statistics
from pathlib import Path
from typing import Any

from secateur.core import devices
from secateur.core.files import write_json
from secateur.decoding.recognize import read_features
from secateur.heads.times import attention_times
from secateur.models.load import load_model
from secateur.speech.datadir import read_data_dir
from secateur.speech.tokens import Tokenizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the model; its architecture counts")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt of the model")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories, for the median lengths")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folder of the features of each")
    parser.add_argument("--beam", type=int, default=5, help="hypotheses that a decoder extends together")
    parser.add_argument("--repeats", type=int, default=20, help="rounds in which each is measured")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to measure")
    parser.add_argument("--output", type=Path, required=True, help="times.json to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device, tokenizer = devices.pick(arguments.device), Tokenizer.load(arguments.tokens)
    config = load_model(arguments.model).config
    # Whisper's lists begin with the prompt, which is heard at once, and have the end already.
    further = -config["prompt"] if "prompt" in config else 1
    frames, steps = [], []
    for data, features in zip(arguments.data, arguments.features, strict=True):
        utterances = read_data_dir(data)
        frames += read_features(features, [utterance.id for utterance in utterances]).lengths.values()
        steps += [len(tokenizer.encode(one.text, one.language)) + further for one in utterances]
    conditions = {
        "frames": round(statistics.median(frames)),
        "steps": round(statistics.median(steps)),
        "beam": arguments.beam,
        "repeats": arguments.repeats,
        "device": str(device),
        "threads": devices.use_threads(),
    }
    seconds, soundness = attention_times(
        config,
        tokenizer.tokens,
        conditions["frames"],
        conditions["steps"],
        arguments.beam,
        arguments.repeats,
        device,
    )
    write_json(arguments.output, {"seconds": seconds, "soundness": soundness} | conditions)
    record |= conditions
