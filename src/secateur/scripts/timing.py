"""Time systems on the same utterances, one utterance at a time, in random order, in rounds, on every device.

A system is a model with a search. With `heads`, a file of head-removals, it is also timed without each set of heads
that the file has; with `layers`, a file of layer-search, also at the `depths` (with `decoder_layers`, of its
decoder, at the `decoder_depths`); with `exits`, a file of decode-exits, also left early at each of its points; with
`onnx`, a file of decode-onnx, also in its formats, by ONNX Runtime. Groups of searches are timed one after the
other, with utterances and rounds of their own. In each the first system, the reference, is timed twice, the second time
as the sub-model A/A: the two must not differ. What is not sound is measured once more.
"""

import argparse
import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from secateur.core import devices
from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_tsv
from secateur.core.jobs import json_argument
from secateur.core.options import read
from secateur.decoding.options import TimedGroup
from secateur.decoding.recognize import Recognizer, read_sample, timed
from secateur.decoding.timing import (
    AGAIN,
    CONDITIONS,
    ENDS,
    INTERVALS,
    PARTS,
    RATIO,
    Measurement,
    latency,
    latency_intervals,
    measure,
    relative_time,
)
from secateur.decoding.tuning import applied
from secateur.exits import points
from secateur.exported import systems as exported
from secateur.heads import removals
from secateur.layers.rtf import depth_name
from secateur.models.load import language_model, load_model
from secateur.models.surgery.layers import layer_numbers, read_depth
from secateur.models.types import DECODER
from secateur.speech.datadir import read_table
from secateur.speech.tokens import Tokenizer

AXES = ("device", "group", "system", "search", "sub_model")
UTTERANCE_COLUMNS = (*AXES, "round", "utterance", "duration_s", *PARTS)
TIMES = ("encoder_s", "search_s", "lm_s", "p95_s")
COLUMNS = (*AXES, "depth", "rounds", "utterances", "threads", *TIMES, *ENDS, *RATIO, *CONDITIONS)

Name = tuple[str, str, str]
"""System, search and sub-model."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--systems",
        type=json_argument,
        required=True,
        help="JSON: name → {model: folder, searches: {name: {lm: folder, tuned, heads, layers: file, depths: []}}}",
    )
    parser.add_argument(
        "--reference", help="name of the system that ratios are over, by its first search (the first system)"
    )
    parser.add_argument("--searches", type=json_argument, required=True, help="JSON: searches by name, complete")
    parser.add_argument(
        "--groups",
        type=timed_groups,
        required=True,
        help="JSON: name → {searches: [name], utterances: of all languages together, rounds: number}",
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories, of all languages")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folder of the features of each")
    parser.add_argument("--tokens", type=Path, help="tokens.txt of the models, for searches over word pieces")
    parser.add_argument("--train-text", type=Path, nargs="*", default=[], help="training texts, for lexicon search")
    parser.add_argument("--seed", type=int, default=1, help="seed of the utterances and their order")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="auto: all that there are")
    parser.add_argument("--output", type=Path, required=True, help="folder for timing.tsv and utterances.tsv")


def timed_groups(text: str) -> dict[str, TimedGroup]:
    """The argparse type of --groups."""
    return {name: read(TimedGroup, group, f"groups.{name}") for name, group in json_argument(text).items()}


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    threads = devices.use_threads()
    available = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rows: list[dict[str, Any]] = []
    utterances: list[dict[str, Any]] = []
    for device in available if arguments.device == "auto" else [arguments.device]:
        systems = Systems(arguments, devices.pick(device))
        for group, amount in arguments.groups.items():
            per_language = -(-amount.utterances // len(arguments.data))
            features, durations = read_sample(arguments.data, arguments.features, per_language, arguments.seed)
            recognizers = dict(systems.of(amount.searches))
            found = {
                name: timed(recognizer, search_of(arguments, name), features)
                for name, recognizer in recognizers.items()
            }
            if not found:
                raise SecateurError(f"--groups: no system has a search of the group {group!r}; leave the group out")
            reference = next((name for name in found if name[0] == arguments.reference), next(iter(found)))
            measured = measure(found, reference, durations, amount.rounds, arguments.seed)
            about = {"device": device, "group": group}
            conditions = {"rounds": amount.rounds, "utterances": len(durations), "threads": threads}
            depths = {name: depth_of(recognizer.model) for name, recognizer in recognizers.items()}
            for name, times in named(measured, reference):
                axes = about | dict(zip(AXES[2:], name, strict=True))
                utterances += [axes | row for row in times]
                facts_of = {"depth": depths[reference if name[2] == AGAIN else name]} | conditions
                rows.append(axes | facts_of | summary(measured, reference, name, times) | measured.conditions)
    write_tsv(arguments.output / "timing.tsv", COLUMNS, rows)
    write_tsv(arguments.output / "utterances.tsv", UTTERANCE_COLUMNS, utterances)
    record |= {"seed": arguments.seed, "systems": len(rows), "doubt": "; ".join({row["doubt"] for row in rows} - {""})}


def search_of(arguments: argparse.Namespace, name: Name) -> dict[str, Any]:
    """The search of a system, with what was tuned for its model."""
    system, search, _ = name
    file = arguments.systems[system]["searches"][search].get("tuned")
    given = arguments.searches[search]
    return applied(given, read_json(file), search) if file else given


class Systems:
    """The systems to time on one device; models are loaded once."""

    def __init__(self, arguments: argparse.Namespace, device: torch.device):
        self.arguments, self.device = arguments, device
        self._models: dict[tuple[str, ...], Any] = {}

    def of(self, searches: Sequence[str]) -> Iterator[tuple[Name, Recognizer]]:
        """Those with some of the searches, in the order of the systems."""
        for system, found in self.arguments.systems.items():
            for search, entry in found["searches"].items():
                if search in searches:
                    loaded = self._loaded(found["model"])
                    lm = self._lm(entry["lm"], loaded.tokens) if entry.get("lm") else None
                    for part, model in self._parts(found["model"], entry).items():
                        tokenizer = self._tokenizer(loaded.tokens)
                        whole = Recognizer(model, tokenizer, self.device, lm, self._sentences)
                        yield (system, search, part), whole.running(model)

    def _loaded(self, folder: str) -> Any:
        if (folder,) not in self._models:
            self._models[folder,] = load_model(folder, self.device)
        return self._models[folder,]

    def _parts(self, folder: str, entry: Mapping[str, Any]) -> dict[str, torch.nn.Module]:
        """The whole model, without a name, and its sub-models."""
        whole = self._loaded(folder).model
        found = {"": whole}
        for name, sub_models in (
            ("heads", removals.sub_models),
            ("exits", points.sub_models),
            ("onnx", exported.sub_models),
        ):
            if file := entry.get(name):
                key = (folder, file)
                if key not in self._models:
                    self._models[key] = dict(sub_models(whole, file))
                found |= self._models[key]
        for prefix in ("", f"{DECODER}_"):
            for depth in entry.get(f"{prefix}depths", ()):
                kept = read_depth(entry[f"{prefix}layers"], depth)
                name = depth_name(depth, kept.of)
                key = (folder, entry[f"{prefix}layers"], name)
                if key not in self._models:
                    self._models[key] = kept.apply_(copy.deepcopy(whole))
                found[name] = self._models[key]
        return found

    def _lm(self, folder: str, tokens: list[str]) -> torch.nn.Module:
        key = (folder, "lm")
        if key not in self._models:
            self._models[key] = language_model(Path(folder), tokens, self.device)
        return self._models[key]

    @cached_property
    def _sentences(self) -> list[str]:
        return [text for file in self.arguments.train_text for text in read_table(file).values()]

    def _tokenizer(self, tokens: list[str]) -> Tokenizer:
        return Tokenizer.load(self.arguments.tokens) if self.arguments.tokens else Tokenizer(tokens)


def named(measured: Measurement, reference: Name) -> Iterator[tuple[Name, list[dict[str, Any]]]]:
    """The rows of every system; those of the reference's second time as its sub-model A/A."""
    for name, rows in measured.rows.items():
        yield (reference[0], reference[1], AGAIN) if name == AGAIN else name, rows


def summary(measured: Measurement, reference: Name, name: Name, rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """The columns `TIMES`, `ENDS` and `RATIO`.

    The ratio is against the reference's model with the same search or, if that is not timed, against the system's own
    whole model.
    """
    found, ends = latency(rows), latency_intervals(rows)
    values: dict[str, float | None] = {column: found[column] for column in (*TIMES, *INTERVALS)}
    for column in INTERVALS:
        values[f"{column}_low"], values[f"{column}_high"] = ends[column]
    base = measured.rows.get((reference[0], name[1], "")) or measured.rows[name[0], name[1], ""]
    return values | dict(zip(RATIO, relative_time(rows, base), strict=True))


def depth_of(model: torch.nn.Module) -> int:
    """The number of encoder layers."""
    return getattr(model, "depth", None) or len(layer_numbers(model))
