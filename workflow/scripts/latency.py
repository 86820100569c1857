"""Measure the latency of several systems on the same utterances, one utterance at a time, in turns.

The first system is the one that the others' times are compared with.
"""

import argparse
from pathlib import Path
from typing import Any

from secateur import devices
from secateur.decoding import Recognizer, decode_in_turns, language_model, read_sample
from secateur.files import write_json, write_tsv
from secateur.jobs import job, json_argument, threads
from secateur.models import load_model
from secateur.timing import PARTS, latency, latency_intervals, relative_time, timed_rows
from secateur.tokens import Tokenizer

COLUMNS = ("system", "utterance", "duration_s", *PARTS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--systems", type=json_argument, required=True, help="JSON: name → {model: folder, search: {…}, lm: folder}"
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories, of all languages")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folder of the features of each")
    parser.add_argument("--utterances", type=int, default=10, help="utterances of every language, drawn at random")
    parser.add_argument("--repeats", type=int, default=3, help="turns; each part of a time is its median over them")
    parser.add_argument("--seed", type=int, default=1, help="seed of the utterances")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to decode")
    parser.add_argument("--output", type=Path, required=True, help="folder for latency.tsv and latency.json")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device = devices.pick(arguments.device)
    systems = {}
    for name, system in arguments.systems.items():
        loaded = load_model(system["model"], device)
        lm = language_model(system["lm"], loaded.tokens, device) if system.get("lm") else None
        search = system["search"] | ({"batch": 1} if "batch" in system["search"] else {})
        systems[name] = (Recognizer(loaded.model, Tokenizer(loaded.tokens), device, lm), search)
    features, durations = read_sample(arguments.data, arguments.features, arguments.utterances, arguments.seed)
    results = decode_in_turns(systems, features, arguments.repeats)
    rows = {system: timed_rows(found, durations) for system, found in results.items()}
    write_tsv(
        arguments.output / "latency.tsv",
        COLUMNS,
        [{"system": system} | row for system, found in rows.items() for row in found],
    )
    baseline = next(iter(rows.values()))
    conditions = {
        "device": str(device),
        "threads": threads(),
        "repeats": arguments.repeats,
        "utterances": len(features),
    }
    summary = {
        system: latency(found) | {"intervals": latency_intervals(found), "relative": relative_time(found, baseline)}
        for system, found in rows.items()
    }
    write_json(arguments.output / "latency.json", {"systems": summary, "conditions": conditions})
    record |= conditions | {"seed": arguments.seed}


if __name__ == "__main__":
    job(__doc__, add_arguments, run)
