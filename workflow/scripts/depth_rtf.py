"""Measure the real-time factor of a model at every depth, on the CPU and, where there is one, on a GPU.

All depths take turns, with one utterance at a time or as many as the search decodes together. Which layers are kept
hardly matters for the time, so one strategy's are taken. Models that were trained at a smaller depth join in.
"""

import argparse
import copy
import random
from pathlib import Path
from typing import Any

import kaldiio
import torch

from secateur import devices
from secateur.acoustic import FRAMES_PER_SECOND
from secateur.datadir import read_table
from secateur.decoding import Features, Recognizer, batch_size
from secateur.files import write_tsv
from secateur.jobs import job, json_argument, threads
from secateur.layers.depth import keep_layers, layer_numbers, listed, read_depth
from secateur.layers.rtf import COLUMNS, measure, summary
from secateur.models import load_model
from secateur.tokens import Tokenizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the whole model")
    parser.add_argument("--name", required=True, help="what to call it in the table")
    parser.add_argument("--layers", type=Path, required=True, help="JSON file of layer_search.py")
    parser.add_argument("--depths", type=int, nargs="+", required=True, help="numbers of layers, beside that of all")
    parser.add_argument("--trained", type=Path, nargs="*", default=[], help="folders of models of fewer layers")
    parser.add_argument("--trained-names", nargs="*", default=[], help="what to call these")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folders of features to decode")
    parser.add_argument("--utterances", type=int, default=12, help="how many of each, drawn at random, always the same")
    parser.add_argument("--searches", type=json_argument, required=True, help="JSON: searches by name, complete")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="auto: all that there are")
    parser.add_argument("--output", type=Path, required=True, help="rtf.tsv to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    rows = []
    available = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    features = some(arguments.features, arguments.utterances)
    audio_s = sum(features.lengths.values()) / FRAMES_PER_SECOND
    for device in available if arguments.device == "auto" else [arguments.device]:
        models = recognizers(arguments, devices.pick(device))
        for name, search in arguments.searches.items():
            measured = summary(measure(models, features, audio_s, search, arguments.rounds), next(iter(models)))
            conditions = {"rounds": arguments.rounds, "utterances": len(features), "batch": batch_size(search)}
            for (model, depth), values in measured.items():
                layers = listed(layer_numbers(models[model, depth].model), ",")
                axes = {"model": model, "depth": depth, "layers": layers, "search": name}
                rows.append(axes | values | conditions | {"device": device, "threads": threads()})
    write_tsv(arguments.output, COLUMNS, rows)
    record |= {"utterances": len(features), "audio_s": round(audio_s, 3)}


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


def some(folders: list[Path], count: int) -> Features:
    """The features of `count` utterances of every folder."""
    archive, lengths = {}, {}
    for folder in folders:
        found = kaldiio.load_scp(str(folder / "feats.scp"))
        frames = read_table(folder / "utt2num_frames")
        for name in random.Random(0).sample(sorted(frames), min(count, len(frames))):
            archive[name], lengths[name] = found[name], int(frames[name])
    return Features(archive, lengths)


if __name__ == "__main__":
    job(__doc__, add_arguments, run)
