"""Compare all layers of one or several models: SVCCA and linear CKA of their outputs for the same utterances."""

import argparse
import logging
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from secateur.core import devices, progress
from secateur.core.errors import SecateurError
from secateur.core.files import write_json, write_tsv
from secateur.layers.hidden import covariances
from secateur.layers.similarity import SVCCA, Covariances
from secateur.models.load import Loaded, load_model
from secateur.speech.data import BatchPlan, SpeechExamples
from secateur.speech.tokens import Tokenizer

COLUMNS = ("measure", "model_a", "layer_a", "model_b", "layer_b", "value")
Layer = tuple[str, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="folders of acoustic models")
    parser.add_argument("--names", nargs="+", help="what to call them (their folders)")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folder of the features of each")
    parser.add_argument("--utterances", type=int, help="use so many, drawn at random, always the same (all)")
    parser.add_argument("--variance", type=float, default=0.99, help="share of a layer's variance that SVCCA keeps")
    parser.add_argument("--batch-frames", type=int, default=6000, help="most feature frames in a batch, with padding")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to compute")
    parser.add_argument("--output", type=Path, required=True, help="similarity.tsv to write; each pair of layers once")
    parser.add_argument("--curves", type=Path, help="JSON to write (curves.json beside the output): all coefficients")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device = devices.pick(arguments.device)
    names = arguments.names or [str(folder) for folder in arguments.models]
    check(arguments, names)
    loaded = {name: load_model(folder, device) for name, folder in zip(names, arguments.models, strict=True)}
    check_models(loaded)
    # Its targets are not used, so any of the token lists will do.
    tokenizer = Tokenizer(loaded[names[0]].tokens)
    examples = SpeechExamples(list(zip(arguments.features, arguments.data, strict=True)), tokenizer)
    plan = BatchPlan(choose(examples.lengths, arguments.utterances), arguments.batch_frames, seed=0).epoch(0)
    started = time.perf_counter()
    batches = progress.each(map(examples.load, plan), len(plan), "batches")
    layers, total = covariances({name: found.model for name, found in loaded.items()}, batches, device)

    svcca = total.svcca(arguments.variance)
    write_tsv(arguments.output, COLUMNS, rows(layers, {"svcca": svcca.mean, "cka": total.cka()}))
    found = curves(layers, total, svcca, arguments.variance)
    found["layer_forwards"] = sum(layer > 0 for _, layer in layers) * len(plan)
    found["seconds"] = round(time.perf_counter() - started, 3)
    write_json(arguments.curves or arguments.output.with_name("curves.json"), found)
    record |= {"device": str(device), "utterances": sum(map(len, plan)), "frames": total.frames, "layers": len(layers)}
    if 2 * int(svcca.kept.max()) >= total.frames:
        logging.warning(
            "only %d frames for layers of %d directions: SVCCA is high for lack of data; use more utterances",
            total.frames,
            svcca.kept.max(),
        )


def check(arguments: argparse.Namespace, names: list[str]) -> None:
    """Refuse arguments that do not fit one another."""
    if len(names) != len(arguments.models):
        raise SecateurError(
            f"--names has {len(names)} and --models {len(arguments.models)}; give one name for each model"
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise SecateurError(f"two models are called {twice[0]!r}; give each folder once, or different --names")
    if len(arguments.data) != len(arguments.features):
        raise SecateurError(
            f"--data has {len(arguments.data)} folders and --features {len(arguments.features)}; give as many of both"
        )
    if arguments.utterances is not None and arguments.utterances < 1:
        raise SecateurError(f"--utterances is {arguments.utterances}; it must be 1 or more, or left out for all")


def check_models(loaded: dict[str, Loaded]) -> None:
    """Refuse models that are not acoustic models, or do not read the same features."""
    for name, found in loaded.items():
        if "features" not in found.config:
            raise SecateurError(f"{name}: holds a model of type {found.config['type']!r}, not an acoustic model")
    (first, wanted), *others = ((name, found.config["features"]) for name, found in loaded.items())
    for name, bins in others:
        if bins != wanted:
            raise SecateurError(
                f"{first} reads {wanted} mel bins and {name} {bins}; compare models of the same features"
            )


def choose(lengths: dict[str, int], count: int | None) -> dict[str, int]:
    """`count` of the utterances at random, the same every time; all of them for None, or if there are no more."""
    if count is None or count >= len(lengths):
        return lengths
    return {name: lengths[name] for name in random.Random(0).sample(sorted(lengths), count)}


def rows(layers: list[Layer], measures: dict[str, Any]) -> list[dict[str, Any]]:
    """Each pair of layers once per measure, a layer with itself among them."""
    return [
        {
            "measure": measure,
            "model_a": layers[first][0],
            "layer_a": layers[first][1],
            "model_b": layers[second][0],
            "layer_b": layers[second][1],
            "value": float(values[first, second]),
        }
        for measure, values in measures.items()
        for first in range(len(layers))
        for second in range(first, len(layers))
    ]


def curves(layers: list[Layer], total: Covariances, svcca: SVCCA, variance: float) -> dict[str, Any]:
    """What similarity.tsv has no room for: the directions kept of each layer, and the coefficients of each pair."""
    return {
        "variance": variance,
        "frames": total.frames,
        "layers": [
            {"model": model, "layer": layer, "width": width, "kept": kept}
            for (model, layer), width, kept in zip(layers, total.widths, svcca.kept.tolist(), strict=True)
        ],
        "curves": [
            {
                "model_a": layers[first][0],
                "layer_a": layers[first][1],
                "model_b": layers[second][0],
                "layer_b": layers[second][1],
                "coefficients": [round(value, 6) for value in curve.tolist()],
            }
            for (first, second), curve in svcca.coefficients.items()
        ],
    }
