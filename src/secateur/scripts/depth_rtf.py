"""Measure the real-time factor of a model at every depth, on the CPU and, where there is one, on a GPU.

All depths are timed on the same utterances, one at a time, in random order, in rounds. Which layers are kept hardly
matters for the time, so one strategy's are taken. Models that were trained at a smaller depth join in.
"""

import argparse
import copy
from pathlib import Path
from typing import Any

import torch

from secateur.core import devices
from secateur.core.files import write_tsv
from secateur.core.jobs import json_argument, threads
from secateur.decoding.recognize import Recognizer, read_sample, timed
from secateur.decoding.timing import ROUNDS, UTTERANCES, latency, latency_intervals, measure, relative_time
from secateur.layers.rtf import COLUMNS
from secateur.models.load import load_model
from secateur.models.surgery.layers import keep_layers, layer_numbers, listed, read_depth
from secateur.speech.tokens import Tokenizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the whole model")
    parser.add_argument("--name", required=True, help="what to call it in the table")
    parser.add_argument("--layers", type=Path, required=True, help="JSON file of layer_search.py")
    parser.add_argument("--depths", type=int, nargs="+", required=True, help="numbers of layers, beside that of all")
    parser.add_argument("--trained", type=Path, nargs="*", default=[], help="folders of models of fewer layers")
    parser.add_argument("--trained-names", nargs="*", default=[], help="what to call these")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories, of all languages")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folder of the features of each")
    parser.add_argument(
        "--utterances", type=int, default=UTTERANCES, help="utterances of every language, drawn at random"
    )
    parser.add_argument(
        "--repeats", type=int, default=ROUNDS, help="rounds; each part of a time is its median over them"
    )
    parser.add_argument("--searches", type=json_argument, required=True, help="JSON: searches by name, complete")
    parser.add_argument("--seed", type=int, default=1, help="seed of the utterances and their order")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="auto: all that there are")
    parser.add_argument("--output", type=Path, required=True, help="rtf.tsv to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    available = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    features, durations = read_sample(arguments.data, arguments.features, arguments.utterances, arguments.seed)
    rows = []
    for device in available if arguments.device == "auto" else [arguments.device]:
        models = recognizers(arguments, devices.pick(device))
        for name, search in arguments.searches.items():
            systems = {key: timed(model, search, features) for key, model in models.items()}
            measured = measure(systems, next(iter(systems)), durations, arguments.repeats, arguments.seed)
            whole = measured.rows[next(iter(systems))]
            for model, depth in systems:
                found = measured.rows[model, depth]
                summary, ends = latency(found), latency_intervals(found)
                times = {name: summary[name] for name in ("rtf", "p50_s")}
                times |= {f"{name}_low": ends[name][0] for name in times} | {
                    f"{name}_high": ends[name][1] for name in times
                }
                ratio = relative_time(found, whole)
                rows.append(
                    {
                        "model": model,
                        "depth": depth,
                        "layers": listed(layer_numbers(models[model, depth].model), ","),
                        "search": name,
                        "device": device,
                        **times,
                        **dict(zip(("ratio", "ratio_low", "ratio_high"), ratio, strict=True)),
                        "rounds": arguments.repeats,
                        "utterances": len(features),
                        "batch": 1,
                        "threads": threads(),
                        **measured.conditions,
                    }
                )
    write_tsv(arguments.output, COLUMNS, rows)
    record |= {"seed": arguments.seed, "utterances": len(features), "audio_s": round(sum(durations.values()), 3)}


def recognizers(arguments: argparse.Namespace, device: torch.device) -> dict[tuple[str, int], Recognizer]:
    """The whole model, first, its sub-models, and models trained at a smaller depth, by name and depth."""
    loaded = load_model(arguments.model, device)
    models = [(arguments.name, loaded.model)]
    for depth in arguments.depths:
        kept = read_depth(arguments.layers, depth)
        models.append((arguments.name, keep_layers(copy.deepcopy(loaded.model), kept)))
    for name, folder in zip(arguments.trained_names, arguments.trained, strict=True):
        models.append((name, load_model(folder, device).model))
    tokenizer = Tokenizer(loaded.tokens)
    return {(name, len(layer_numbers(model))): Recognizer(model, tokenizer, device) for name, model in models}
