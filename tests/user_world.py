"""A world in which everything works, with a user's corpus and models, for tests that change one thing in it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from secateur.__main__ import main as secateur

LETTERS = ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz", "<sos/eos>"]
MODEL = {
    "type": "ctc",
    "features": 20,
    "input": "stack",
    "stack": 4,
    "encoder": {
        **{"type": "transformer", "layers": 2, "dim": 16, "heads": 2, "ffn": 32},
        **{"dropout": 0.0, "attention_dropout": 0.0, "kernel": 5},
    },
    "intermediate_ctc": {"layers": [1], "weight": 0.3},
    "stochastic_depth": 0.0,
}
LM = {"type": "transformer_lm", "embedding": 8, "dim": 16, "heads": 2, "ffn": 32, "layers": 1, "dropout": 0.0}
TRAINING = {
    **{"steps": 1000, "batch_seconds": 10, "accumulate": 1, "learning_rate": 1e-3, "weight_decay": 0.0, "warmup": 0},
    **{"schedule": "constant", "clip": 5.0, "precision": "float32", "evaluate_every": 500, "average_best": 0},
    **{"checkpoint_seconds": 600, "specaug": {"frequency_masks": 0, "time_masks": 0}},
}
GREEDY = {"type": "ctc_greedy", "batch": 4, "batch_frames": 2000}
KALDI = {
    "recipe": "kaldi",
    "normalise": True,
    "channel": None,
    "exclude": [],
    "non_speech_tags": [],
    "unknown_tags": [],
    "splits": {name: name for name in ("train", "dev", "test")},
}


class World:
    """A folder with a user's corpus, what the workflow makes of it, and models."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.root = folder / "a user's data"

    def path(self, name: str) -> Path:
        return self.folder / name

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        path = self.path(name)
        path.write_text(change(path.read_text()))

    # --- the scripts, with arguments that work

    def prepare(self) -> list[object]:
        options = json.dumps(KALDI | {"root": str(self.root)})
        return ["prepare_corpus", "--options", options, "--language", "en", "--cache", self.path("cache"),
                "--output", self.path("data/en")]  # fmt: skip

    def fetch(self, **changes: object) -> list[object]:
        options = json.dumps(KALDI | {"root": str(self.root)} | changes)
        return ["fetch_corpus", "--options", options, "--language", "en", "--cache", self.path("cache")]

    def validate(self) -> list[object]:
        return ["validate_corpus", "--data", self.path("data"), "--languages", "en", "--splits", "train", "dev", "test",
                "--tokens", self.path("tokens/tokens.txt"), "--input-layers", "stack:4",
                "--output", self.path("validation.tsv")]  # fmt: skip

    def features(self) -> list[object]:
        return ["features", "--data", self.path("data/en/test"), "--mel-bins", 20, "--output", self.path("new")]

    def train(self, script: str = "train", *more: object, **changes: object) -> list[object]:
        start = [] if script != "train" else ["--model", json.dumps(MODEL)]
        return [script, *start, *more, "--training", json.dumps(TRAINING | changes), "--data", self.path("data"),
                "--features", self.path("features"), "--languages", "en", "--tokens", self.path("tokens/tokens.txt"),
                "--device", "cpu", "--output", self.path("trained")]  # fmt: skip

    def prune(self, *more: object) -> list[object]:
        return self.train("prune", "--method", "imp", "--start", self.path("model"), *(more or ("--sparsity", "0.5")))

    def decode(self, *more: object, search: dict | None = None) -> list[object]:
        return ["decode", "--model", self.path("model"), "--search", json.dumps(search or GREEDY), "--device", "cpu",
                "--data", self.path("data/en/test"), "--features", self.path("features/en/test"),
                "--output", self.path("decoded"), *more]  # fmt: skip


def call(script: str, *arguments: object) -> int:
    """Run a script of the workflow in this process; its exit status."""
    before = sys.argv
    sys.argv = ["secateur", script.replace("_", "-"), *map(str, arguments)]
    try:
        secateur()
    except SystemExit as end:
        return end.code or 0
    finally:
        sys.argv = before
    return 0


class Cases(dict[str, tuple[Callable[[World], list[object]], str]]):
    """Mistakes by name: what is done to the world, which returns the script to call; and what the error says."""

    def __call__(self, message: str):
        """Register a case; `message` is a regular expression."""

        def register(change: Callable[[World], list[object]]):
            self[change.__name__.replace("_", " ")] = change, message
            return change

        return register


def never(*_):
    """In place of a step of the optimiser."""
    raise AssertionError("it trains, and should have refused")
