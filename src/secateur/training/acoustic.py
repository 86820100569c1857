"""What all jobs that train an acoustic model share: their arguments, their data, and saving the result."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.core.options import argument
from secateur.models.specaug import specaug
from secateur.speech.data import BatchPlan, SpeechExamples
from secateur.speech.tokens import Tokenizer, token_files
from secateur.training.hooks import TrainingHook
from secateur.training.loop import train
from secateur.training.options import TrainingOptions
from secateur.training.task import Task, finish

FRAMES_PER_SECOND = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a `Task` and of its `Speech`."""
    parser.add_argument(
        "--training", type=argument(TrainingOptions, "training"), required=True, help="JSON: an entry of `training`"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with {language}/{split} data directories")
    parser.add_argument("--features", type=Path, required=True, help="folder with {language}/{split} features")
    parser.add_argument("--speeds", type=float, nargs="+", default=[1.0], help="speeds that the training features hold")
    parser.add_argument("--languages", nargs="+", required=True, help="languages to train on")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt")
    parser.add_argument("--before", type=int, default=0, help="steps of earlier trainings, not to repeat their batches")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")


@dataclass(frozen=True)
class Speech:
    """Where the speech of some languages is.

    Attributes:
        data, features: folders with {language}/{split} data directories and their features.
        tokens: tokens.txt.
        speeds: those that the training features hold.
    """

    data: Path
    features: Path
    languages: Sequence[str]
    tokens: Path
    speeds: Sequence[float] = (1.0,)

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Speech":
        """The speech that a command was given."""
        return cls(arguments.data, arguments.features, arguments.languages, arguments.tokens, arguments.speeds)

    def folders(self, split: str) -> list[tuple[Path, Path]]:
        """Folder of the features and data directory, for each language."""
        return [(self.features / language / split, self.data / language / split) for language in self.languages]


class Material:
    """Training and dev data of some languages.

    Args:
        speech: where they are.
        batch_seconds, seed: length of a batch, and the seed of their order.
        monolingual: whether a batch may hold one language only.
    """

    @classmethod
    def of(cls, arguments: argparse.Namespace, monolingual: bool = False) -> "Material":
        """The data that a command was given."""
        return cls(Speech.of(arguments), arguments.training.batch_seconds, arguments.seed, monolingual)

    def __init__(self, speech: Speech, batch_seconds: float, seed: int, monolingual: bool = False):
        folders = speech.folders
        self.tokens = speech.tokens
        self.tokenizer = Tokenizer.load(speech.tokens)
        self.features = [features for features, _ in folders("train")]
        self.examples = SpeechExamples(folders("train"), self.tokenizer, speech.speeds)
        budget = int(batch_seconds * FRAMES_PER_SECOND)
        groups = self.examples.languages if monolingual else None
        # The slowest copy of an utterance is the longest.
        lengths = {name: round(length / min(speech.speeds)) for name, length in self.examples.lengths.items()}
        self.plan = BatchPlan(lengths, budget, seed, groups, self.examples.variants)
        self.dev = SpeechExamples(folders("dev"), self.tokenizer)
        self.dev_batches = BatchPlan(self.dev.lengths, budget, 0, self.dev.languages if monolingual else None).epoch(0)
        self.files = token_files(speech.tokens)
        for features, data in [*folders("train"), *folders("dev")]:
            self.files += [features / "cmvn.json", data / "text"]


def fit(
    task: Task,
    record: dict[str, Any],
    material: Material,
    model: torch.nn.Module,
    config: Mapping[str, Any],
    hooks: Sequence[TrainingHook] = (),
    inputs: Sequence[Path] = (),
) -> None:
    """Train `model`, save it with its history in the folder of the result, and note seed, device, steps, seconds.

    Args:
        config: what rebuilds the model.
        inputs: further files that the result depends on: the checkpoint that training starts from, masks.

    Raises SecateurError if the model has another token list than the data.
    """
    history = learn(task, material, model, hooks, inputs)
    finish(task, record, model, config, material.tokenizer.tokens, history)


def learn(
    task: Task,
    material: Material,
    model: torch.nn.Module,
    hooks: Sequence[TrainingHook] = (),
    inputs: Sequence[Path] = (),
    state: Path | None = None,
) -> list[dict[str, Any]]:
    """Train `model` in place and return its history; nothing is saved but the state.

    Args:
        state: folder of the saved state, if it is not the task's.

    Raises SecateurError as `fit` does.
    """
    if list(model.token_list) != material.tokenizer.tokens:
        raise SecateurError(
            f"{material.tokens}: not the token list of the model that training starts from; give the one it was "
            "trained on"
        )
    model.specaug = specaug(**vars(task.options.specaug))
    return train(
        model,
        material.examples,
        material.plan.step,
        (material.dev, material.dev_batches),
        task.options,
        task.seed,
        task.device,
        state or task.state,
        task.identity([*material.files, *inputs]),
        hooks,
        task.before,
    )
