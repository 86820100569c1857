"""Thresholds by dev data: what every exit makes of every utterance, and which thresholds give which mean depth.

One pass over the dev data tells what happens at any threshold. A mean depth is over frames, since a frame is what a
layer costs; word errors are those of all dev data together, or characters where words are not written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
import torch

from secateur.exits.encoder import MEASURES, Exit, ExitingEncoder, Heard, check
from secateur.layers.dev import Dev, word_errors
from secateur.models.surgery.layers import layer_numbers

CANDIDATES = 400
"""The most thresholds that are tried for a measure."""
FREE = "no more errors"
"""The point of the fewest layers with no more errors on dev than the whole model."""


@dataclass
class Seen:
    """What the exits of a model make of dev data; U utterances, E exits, the last layer being one.

    Attributes:
        layers: of the exits, in rising order.
        frames: (U,) of the encoder.
        words: (U,) of the references.
        errors: (U, E) by each exit.
        measures: by name (U, E).
    """

    layers: tuple[int, ...]
    frames: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    errors: list[list[int]] = field(default_factory=list)
    measures: dict[str, list[list[float]]] = field(default_factory=lambda: {name: [] for name in MEASURES})


@torch.inference_mode()
def look(model: torch.nn.Module, layers: Sequence[int], dev: Dev) -> Seen:
    """What the exits of `model`, in evaluation mode, make of dev data. Raises SecateurError as `early_exit` does."""
    check(model, layers)
    seen = Seen((*layers, layer_numbers(model)[-1]))
    device, whole = next(model.parameters()).device, model.encoder
    found: list[tuple[Heard, dict[str, torch.Tensor]]] = []
    model.encoder = ExitingEncoder(
        model, Exit(tuple(layers), threshold=-inf), lambda _, heard, values: found.append((heard, values))
    )
    try:
        for names in dev.batches:
            found.clear()
            batch = dev.examples.load(names)
            model.encode(batch.tensors["speech"].to(device), batch.tensors["speech_lengths"].to(device))
            _note(seen, dev, names, found)
    finally:
        model.encoder = whole
    return seen


def _note(
    seen: Seen, dev: Dev, names: Sequence[str], found: Sequence[tuple[Heard, Mapping[str, torch.Tensor]]]
) -> None:
    references = [dev.references[name] for name in names]
    counted = [word_errors(references, [dev.tokenizer.decode(tokens) for tokens in heard.tokens]) for heard, _ in found]
    seen.frames += found[0][0].lengths.tolist()
    seen.words += [words for _, words in counted[0]]
    seen.errors += [[errors for errors, _ in each] for each in zip(*counted, strict=True)]
    for name, values in seen.measures.items():
        values += torch.stack([measures[name] for _, measures in found], dim=1).tolist()


def left_at(seen: Seen, measure: str, threshold: float) -> np.ndarray:
    """The exit (U,), by its place among all, that every utterance leaves by."""
    below = np.array(seen.measures[measure])[:, :-1] < threshold
    return np.where(below.any(axis=1), below.argmax(axis=1), below.shape[1])


def outcome(seen: Seen, places: np.ndarray) -> dict[str, Any]:
    """What comes of utterances leaving by these exits (U,): mean `layers`, `wer` in %, share of frames by exit."""
    frames, errors = np.array(seen.frames), np.array(seen.errors)
    depths = np.array(seen.layers)[places]
    return {
        "layers": float((depths * frames).sum() / frames.sum()),
        "wer": float(100 * errors[np.arange(len(places)), places].sum() / max(1, sum(seen.words))),
        "left": {
            str(layer): float(frames[places == place].sum() / frames.sum()) for place, layer in enumerate(seen.layers)
        },
    }


def thresholds(seen: Seen, measure: str) -> list[float]:
    """Thresholds between all different values of a measure below the last layer, from 0 on: each does another thing."""
    values = np.unique(np.array(seen.measures[measure])[:, :-1])
    between = (values[1:] + values[:-1]) / 2
    found = [0.0, *between[between > 0].tolist(), float(values[-1]) + 1.0]
    return [found[round(place)] for place in np.linspace(0, len(found) - 1, min(len(found), CANDIDATES))]


def points(seen: Seen, measure: str, depths: Sequence[float]) -> dict[str, dict[str, Any]]:
    """By name, the thresholds of a measure that come nearest to mean depths on dev, and the one that is free.

    Each has `measure`, `threshold`, `exits` and, as `dev`, its `outcome`. One that does what another does is left out.
    """
    tried = [(threshold, outcome(seen, left_at(seen, measure, threshold))) for threshold in thresholds(seen, measure)]
    whole = tried[0][1]["wer"]
    free = min((one for one in tried if one[1]["wer"] <= whole), key=lambda one: one[1]["layers"])
    chosen = {
        f"{measure}, {depth:g} layers": min(tried, key=lambda one: (abs(one[1]["layers"] - depth), one[1]["wer"]))
        for depth in depths
    }
    chosen[f"{measure}, {FREE}"] = free
    named: dict[str, dict[str, Any]] = {}
    for name, (threshold, found) in chosen.items():
        if all(found != other["dev"] for other in named.values()):
            about = {"measure": measure, "threshold": threshold, "exits": list(seen.layers[:-1])}
            named[name] = about | {"dev": found}
    return named


def fixed(seen: Seen) -> dict[str, dict[str, Any]]:
    """By name, each exit below the last for all utterances alike, in the form of `points`."""
    return {
        f"layer {layer}": {
            "measure": MEASURES[0],
            "threshold": None,
            "exits": [layer],
            "dev": outcome(seen, np.full(len(seen.frames), place)),
        }
        for place, layer in enumerate(seen.layers[:-1])
    }
