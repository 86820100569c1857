"""What a bundle runs on the device that models are for. Needs numpy and onnxruntime alone.

All systems take turns, utterance by utterance, in rounds, as they do in a study (`secateur.decoding.timing`): each is
an ONNX file of an encoder and its CTC head, and greedy search. The bundle, a folder of `secateur bundle`, holds

    bundle.json      systems, the first being the reference, with their files and what they heard where the bundle was
                     made; utterances with their seconds; rounds
    features.npz     of the utterances, by their place
    models, secateur the files, and the modules of this package that are needed

`times.tsv` has a row for each system, round and utterance, the first system's second time as A/A.
"""

import argparse
import json
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from secateur.core.files import write_tsv
from secateur.decoding.sessions import session
from secateur.decoding.timing import CONDITIONS, PARTS, latency, measure, relative_time

ABOUT, FEATURES, TIMES = "bundle.json", "features.npz", "times.tsv"
FACTS = ("bytes", "agrees", "threads", "machine", "runtime")
COLUMNS = ("system", "round", "utterance", "duration_s", *PARTS, *FACTS, *CONDITIONS)
"""`agrees`: whether the utterance is heard as it was where the bundle was made."""


class System:
    """One ONNX file, on some threads of the CPU; a call decodes one of the utterances, and gives the seconds.

    Attributes:
        heard: by utterance, its labels.
    """

    def __init__(self, file: Path, features: Mapping[str, np.ndarray], threads: int):
        self._session = session(file, threads)
        self._names = [given.name for given in self._session.get_inputs()]
        self._features, self.heard = features, dict[str, list[int]]()

    def __call__(self, utterance: str) -> dict[str, float]:
        speech = self._features[utterance][None]
        started = time.perf_counter()
        found = self._session.run(None, dict(zip(self._names, (speech, np.array([speech.shape[1]])), strict=True)))
        encoded = time.perf_counter()
        self.heard[utterance] = collapsed(found[0][0, : int(found[1][0])])
        return dict(zip(PARTS, (encoded - started, time.perf_counter() - encoded, 0.0), strict=True))


def collapsed(scores: np.ndarray, blank: int = 0) -> list[int]:
    """The labels of the best path through scores (T, V): repetitions merged, then blanks left out."""
    path = scores.argmax(-1)
    kept = np.ones(len(path), bool)
    kept[1:] = path[1:] != path[:-1]
    return [int(label) for label in path[kept] if label != blank]


def listen(folder: Path, about: Mapping[str, Any], threads: int) -> dict[str, System]:
    """The systems of a bundle, by name."""
    with np.load(folder / FEATURES) as found:
        features = {entry["name"]: found[str(place)] for place, entry in enumerate(about["utterances"])}
    return {entry["name"]: System(folder / entry["file"], features, threads) for entry in about["systems"]}


def run(folder: Path, threads: int = 1, rounds: int | None = None) -> list[dict[str, Any]]:
    """Measure the systems of the bundle in `folder`: the rows of `times.tsv`."""
    import onnxruntime

    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    systems = listen(folder, about, threads)
    durations = {entry["name"]: entry["duration_s"] for entry in about["utterances"]}
    entries, first = {entry["name"]: entry for entry in about["systems"]}, next(iter(systems))
    measured = measure(systems, first, durations, rounds or about["rounds"])
    machine = f"{platform.node()}, {platform.machine()}"
    facts = {"threads": threads, "machine": machine, "runtime": onnxruntime.__version__} | measured.conditions
    rows = []
    for name, found in measured.rows.items():
        entry, heard = entries.get(name, entries[first]), systems.get(name, systems[first]).heard
        stored = (folder / entry["file"]).stat().st_size
        for row in found:
            agrees = heard[row["utterance"]] == entry["heard"][row["utterance"]]
            rows.append({"system": name, **row, "bytes": stored, "agrees": int(agrees)} | facts)
    return rows


def main(folder: Path, words: Sequence[str] | None = None) -> None:
    """The command line of a bundle's `run.py`."""
    parser = argparse.ArgumentParser(description="Time the models of this bundle in turns; writes times.tsv.")
    parser.add_argument("--threads", type=int, default=1, help="of ONNX Runtime")
    parser.add_argument("--rounds", type=int, help="as many as the bundle says")
    parser.add_argument("--output", type=Path, default=folder / TIMES, help="file to write")
    arguments = parser.parse_args(words)
    rows = run(folder, arguments.threads, arguments.rounds)
    write_tsv(arguments.output, COLUMNS, rows)
    systems: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        systems.setdefault(row["system"], []).append(row)
    for name, found in systems.items():
        ratio, low, high = relative_time(found, next(iter(systems.values())))
        print(f"{name}: real-time factor {latency(found)['rtf']:.4f}, {ratio:.2f} [{low:.2f}, {high:.2f}] of the first")
    if doubt := rows[0]["doubt"]:
        print(f"not to be relied on: {doubt}")
    print(f"{arguments.output}: name it in the study, `timing: {{targets: {{this-device: …/{TIMES}}}}}`")
