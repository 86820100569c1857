"""Pack models as ONNX files with a few utterances and a script that times them on the device that they are for.

`python run.py` in the folder needs numpy and onnxruntime alone: no torch, no Secateur. It runs all models in turns, as
studies do, and writes `times.tsv`, which a study takes in (`timing: {targets: {NAME: FILE}}`). The first model is the
one that others are compared with.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from secateur.core import provenance
from secateur.core.files import write_json, write_text
from secateur.core.jobs import names_of
from secateur.decoding.recognize import check_lengths, read_sample
from secateur.exported import FOLDER, target
from secateur.exported.systems import FORMATS, PLAIN, write
from secateur.pruning.masked import load_masked

RUN = '''"""Time the models of this bundle in turns: `python run.py`. Needs numpy and onnxruntime."""

from pathlib import Path

from secateur.exported.target import main

if __name__ == "__main__":
    main(Path(__file__).resolve().parent)
'''
NEEDS = "numpy\nonnxruntime\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="folders, the whole one first")
    parser.add_argument("--names", nargs="+", help="what to call them (their folders)")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS), help="which files to pack")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories to take utterances from")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folder of the features of each")
    parser.add_argument("--utterances", type=int, default=20, help="of all data directories together")
    parser.add_argument("--rounds", type=int, default=6, help="rounds; the median over them counts")
    parser.add_argument("--seed", type=int, default=1, help="seed of the utterances")
    parser.add_argument("--output", type=Path, required=True, help="folder to write, and to copy to the device")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    names = names_of(arguments.names, arguments.models)
    output, count = arguments.output, -(-arguments.utterances // len(arguments.data))
    features, durations = read_sample(arguments.data, arguments.features, count, arguments.seed)
    check_lengths(features)
    systems: list[dict[str, Any]] = []
    for place, (name, folder) in enumerate(zip(names, arguments.models, strict=True)):
        systems += pack(folder, name, arguments.formats, output, f"models/{place}")
    np.savez(output / target.FEATURES, **{str(place): features[name] for place, name in enumerate(durations)})
    utterances = [{"name": name, "duration_s": seconds} for name, seconds in durations.items()]
    about = {"rounds": arguments.rounds, "utterances": utterances, "systems": systems}
    for entry, system in zip(systems, target.listen(output, about, threads=1).values(), strict=True):
        for utterance in durations:
            system(utterance)
        entry["heard"] = system.heard
    write_json(output / target.ABOUT, about)
    write_code(output)
    record |= {"systems": [entry["name"] for entry in systems], "utterances": len(utterances)}


def pack(model: Path, name: str, formats: list[str], output: Path, folder: str) -> list[dict[str, Any]]:
    """Write the files of a model into `folder` of the bundle: its systems. Raises SecateurError as `write`."""
    loaded = load_masked(model)
    found = write(loaded, None, formats, output / folder)["systems"]
    return [
        {"name": name if kind == PLAIN else f"{name}, {kind}", "file": f"{folder}/{FOLDER}/{entry['model']}"}
        for kind, entry in found.items()
    ]


def write_code(output: Path) -> None:
    """The script, and all modules of this package that it imports."""
    script = output / "run.py"
    write_text(script, RUN)
    for file in provenance.closure([script])[0] - {script}:
        copy = output / file.relative_to(provenance.PACKAGE_ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    write_text(output / "requirements.txt", NEEDS)
