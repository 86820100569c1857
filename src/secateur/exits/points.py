"""The file with the exits of a model: where it may be left, when, and what that costs.

    exits       by layer: multiply–accumulates a second of speech of an utterance that leaves there
    points      by name: `measure`, `threshold` (null: all leave by the first exit), `exits`, and `dev`: the mean number
                of `layers`, `wer`, the share of frames that `left` by layer, and `macs_per_second`
    curves      by measure: thresholds with the mean number of layers and the word error rate on dev
    utterances  of the dev data

Layers have their numbers in the whole model.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import torch

from secateur.core.files import read_json
from secateur.exits.choice import Seen, fixed, left_at, outcome, points, thresholds
from secateur.exits.encoder import Exit, early_exit
from secateur.models.size import encoding_cost
from secateur.models.surgery.layers import keep_layers, layer_numbers

FIXED, WHOLE = "fixed depth", "whole"
"""What stands in the place of a measure in tables: all leave by one exit, or by the last layer."""
CURVE = 60
"""The most points of a curve."""


def chosen(
    model: torch.nn.Module, seen: Seen, measures: Sequence[str], depths: Sequence[float], bins: int
) -> dict[str, Any]:
    """The content of the file: `seen` of `model` on the CPU, in evaluation mode, with `bins` features a frame."""
    macs = arithmetic(model, seen.layers, bins)
    found = fixed(seen)
    for measure in measures:
        found |= points(seen, measure, depths)
    for one in found.values():
        one["dev"]["macs_per_second"] = mean_macs(macs, one["dev"]["left"], one["threshold"] is None)
    curves = {}
    for measure in measures:
        tried = thresholds(seen, measure)
        kept = tried[:: -(-len(tried) // CURVE)]
        made = ((threshold, outcome(seen, left_at(seen, measure, threshold))) for threshold in kept)
        curves[measure] = [[threshold, one["layers"], one["wer"]] for threshold, one in made]
    return {"exits": macs, "points": found, "curves": curves, "utterances": len(seen.frames)}


def arithmetic(model: torch.nn.Module, layers: Sequence[int], bins: int) -> dict[str, dict[str, int]]:
    """By layer, what an utterance that leaves there costs: up to it (`alone`), and with the heads below it (`macs`).

    Every exit that is asked takes a pass through the CTC head; the head that is heard at last takes another.
    """
    numbers = layer_numbers(model)
    whole = encoding_cost(model, bins)["macs_per_second"]
    asked = early_exit(model, Exit(tuple(layers[:-1]), threshold=-inf))
    head = round((encoding_cost(asked, bins)["macs_per_second"] - whole) / (len(layers) - 1))
    found = {}
    for place, layer in enumerate(layers):
        kept = numbers[: numbers.index(layer) + 1]
        alone = encoding_cost(keep_layers(copy.deepcopy(model), kept), bins)["macs_per_second"]
        found[str(layer)] = {"alone": alone, "macs": alone + head * min(place + 1, len(layers) - 1)}
    return found


def mean_macs(exits: Mapping[str, Mapping[str, int]], left: Mapping[str, float], alone: bool) -> float:
    """Multiply–accumulates a second of speech where these shares of it leave by each exit."""
    return sum(share * exits[layer]["alone" if alone else "macs"] for layer, share in left.items())


def exit_of(point: Mapping[str, Any]) -> Exit:
    """When utterances leave at a point of the file."""
    threshold = inf if point["threshold"] is None else point["threshold"]
    return Exit(tuple(point["exits"]), point["measure"], threshold)


def sub_models(model: torch.nn.Module, file: str | Path) -> Iterator[tuple[str, torch.nn.Module]]:
    """A copy of `model` that is left as each point of a file says, by the name of the point."""
    for name, point in read_json(file)["points"].items():
        yield name, early_exit(model, exit_of(point))
