"""Peak memory of every stage at 1× and 8× the hours of a made-up corpus: it should not grow with the corpus.

Noise in recordings of ten seconds, with random letters as transcripts. Each stage is the script of the workflow, in a
process of its own, whose peak memory the system tells. What does grow is the list of utterances, with their texts: some
kilobytes for each, whose audio takes 320.

    python benchmarks/memory.py --hours 1
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from secateur.core.files import write_text, write_tsv
from secateur.speech.datadir import Utterance, write_data_dir

SECONDS = 10
LETTERS = ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz", "<sos/eos>"]
MODEL = {
    **{"type": "ctc", "features": 80, "input": "stack", "stack": 3, "stochastic_depth": 0.0},
    "encoder": {
        **{"type": "conformer", "layers": 4, "dim": 144, "heads": 4, "ffn": 576},
        **{"dropout": 0.1, "attention_dropout": 0.0, "kernel": 15},
    },
    "intermediate_ctc": {"layers": [2], "weight": 0.3},
}
TRAINING = {
    **{"batch_seconds": 20, "accumulate": 1, "learning_rate": 1e-3, "weight_decay": 0.0, "warmup": 0},
    **{"schedule": "constant", "clip": 5.0, "precision": "float32", "average_best": 0, "checkpoint_seconds": 600},
    "specaug": {"frequency_masks": 2, "frequency_width": 20, "time_masks": 2, "time_width": 0.05},
}
MOST = 4000
"""Bytes that a list may take for each utterance: a stage that takes more keeps what it should let go of."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0, help="hours of training speech at 1× (1)")
    parser.add_argument("--steps", type=int, default=20, help="training steps (20)")
    arguments = parser.parse_args()
    sizes = (1, 8)
    with tempfile.TemporaryDirectory() as folder:
        corpora = {size: make(Path(folder, str(size)), arguments.hours * size) for size in sizes}
        found = {size: measure(Path(folder, str(size)), arguments.steps) for size in sizes}
    more = corpora[8] - corpora[1]
    print(f"utterances of {SECONDS} s: {corpora[1]} and {corpora[8]}")
    print("stage       1× (MB)  8× (MB)  ratio  bytes per utterance more")
    growth = {stage: (found[8][stage] - first) / more for stage, first in found[1].items()}
    for stage, first in found[1].items():
        last = found[8][stage]
        print(f"{stage:10s}  {first / 1e6:7.0f}  {last / 1e6:7.0f}  {last / first:5.3f}  {growth[stage]:8.0f}")
    if grown := [stage for stage, each in growth.items() if each > MOST]:
        sys.exit(f"grows with the corpus: {', '.join(grown)}")


def make(folder: Path, hours: float) -> int:
    """Write a corpus of noise into `folder`; the number of its training utterances."""
    generator, letters = np.random.default_rng(0), random.Random(0)
    counts = {"train": int(hours * 3600 / SECONDS), "dev": 4}
    recordings = []
    for number in range(16):  # the same few files again and again: reading is what takes memory
        recordings.append(folder / "audio" / f"{number}.wav")
        recordings[-1].parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(recordings[-1], generator.normal(0, 0.1, 16000 * SECONDS), 16000)
    for split, count in counts.items():
        utterances = []
        for number in range(count):
            text = " ".join("".join(letters.choices(LETTERS[3:-1], k=5)) for _ in range(8))
            audio = str(recordings[number % len(recordings)])
            utterances.append(Utterance(f"{split}-{number:08d}", audio, text, "speaker", "en", float(SECONDS)))
        write_data_dir(folder / "data/en" / split, utterances)
        if split == "train":
            rows = [{"utterance": u.id, "reference": u.text, "hypothesis": u.text[5:]} for u in utterances]
            write_tsv(folder / "hypotheses.tsv", ("utterance", "reference", "hypothesis"), rows)
    write_text(folder / "tokens/tokens.txt", "\n".join(LETTERS) + "\n")
    return counts["train"]


def measure(folder: Path, steps: int) -> dict[str, int]:
    """The peak memory of every stage in bytes."""
    data, features, tokens = folder / "data", folder / "features", folder / "tokens/tokens.txt"
    found = {}
    for split in ("dev", "train"):
        options = ["--data", data / "en" / split, "--output", features / "en" / split]
        found["features"] = peak("features", *options)
    training = json.dumps(TRAINING | {"steps": steps, "evaluate_every": steps})
    where = ["--tokens", tokens, "--device", "cpu"]
    options = ["--model", json.dumps(MODEL), "--training", training, "--data", data, "--features", features]
    found["training"] = peak("train", *options, "--languages", "en", *where, "--output", folder / "model")
    options = ["--models", folder / "model", "--data", data / "en/train", "--features", features / "en/train"]
    found["SVCCA"] = peak("similarity", *options, "--device", "cpu", "--output", folder / "similarity.tsv")
    found["scoring"] = peak("score", "--hypotheses", folder / "hypotheses.tsv", "--output", folder / "scores")
    return found


def peak(script: str, *arguments: object) -> int:
    """The largest resident memory of a script of the workflow, in bytes; without that of processes which it starts."""
    command = [sys.executable, "-m", "secateur", script.replace("_", "-"), *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"})
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{script}: {said}")
    return usage.ru_maxrss * 1024


if __name__ == "__main__":
    main()
