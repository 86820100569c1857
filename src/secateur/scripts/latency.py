"""Measure the latency of several systems on the same utterances, one utterance at a time, in random order, in rounds.

A system with `heads`, a file of head_removals.py, is measured as it is and without each set of heads that the file has.
The baseline is measured twice, the second time as the system A/A: the two must not differ.
"""

import argparse
from functools import cache
from pathlib import Path
from typing import Any

from secateur.core import devices
from secateur.core.files import write_json, write_tsv
from secateur.core.jobs import json_argument, threads
from secateur.decoding.recognize import Recognizer, read_sample, timed
from secateur.decoding.timing import (
    AGAIN,
    PARTS,
    ROUNDS,
    UTTERANCES,
    latency,
    latency_intervals,
    measure,
    relative_time,
)
from secateur.heads.removals import sub_models
from secateur.models.load import language_model, load_model
from secateur.speech.tokens import Tokenizer

COLUMNS = ("system", "sub_model", "round", "utterance", "duration_s", *PARTS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--systems",
        type=json_argument,
        required=True,
        help="JSON: name → {model: folder, search: {…}, lm: folder, heads: file}",
    )
    parser.add_argument("--baseline", required=True, help="name of the system that others are compared with")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories, of all languages")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folder of the features of each")
    parser.add_argument(
        "--utterances", type=int, default=UTTERANCES, help="utterances of every language, drawn at random"
    )
    parser.add_argument(
        "--repeats", type=int, default=ROUNDS, help="rounds; each part of a time is its median over them"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the utterances and their order")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to decode")
    parser.add_argument("--output", type=Path, required=True, help="folder for latency.tsv and latency.json")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device = devices.pick(arguments.device)
    loaded = cache(lambda folder: load_model(folder, device))
    scorer = cache(lambda folder, tokens: language_model(folder, tokens, device))
    features, durations = read_sample(arguments.data, arguments.features, arguments.utterances, arguments.seed)
    systems = {}
    for name, system in arguments.systems.items():
        whole = loaded(system["model"])
        lm = scorer(system["lm"], tuple(whole.tokens)) if system.get("lm") else None
        models = {"": whole.model}
        if system.get("heads"):
            models |= sub_models(whole.model, system["heads"])
        for part, model in models.items():
            recognizer = Recognizer(model, Tokenizer(whole.tokens), device, lm)
            systems[name, part] = timed(recognizer, system["search"], features)
    found = measure(systems, (arguments.baseline, ""), durations, arguments.repeats, arguments.seed)
    rows = {(AGAIN, "") if key == AGAIN else key: each for key, each in found.rows.items()}
    write_tsv(
        arguments.output / "latency.tsv",
        COLUMNS,
        [{"system": name, "sub_model": part} | row for (name, part), each in rows.items() for row in each],
    )
    baseline = rows[arguments.baseline, ""]
    conditions = {
        "device": str(device),
        "threads": threads(),
        "repeats": arguments.repeats,
        "utterances": len(features),
    } | found.conditions
    summary = {
        f"{name} {part}".strip(): latency(each)
        | {"intervals": latency_intervals(each), "relative": relative_time(each, baseline)}
        for (name, part), each in rows.items()
    }
    write_json(arguments.output / "latency.json", {"systems": summary, "conditions": conditions})
    record |= conditions | {"seed": arguments.seed}
