"""What all jobs that train an acoustic model share: their data, training itself, and saving the result."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from secateur.core import devices
from secateur.core.errors import SecateurError
from secateur.models.specaug import specaug
from secateur.speech.data import BatchPlan, SpeechExamples
from secateur.speech.tokens import Tokenizer, token_files
from secateur.speech.turns import Turns
from secateur.training.hooks import TrainingHook
from secateur.training.loop import evaluate, train
from secateur.training.task import HISTORY_COLUMNS, Task, finish

FRAMES_PER_SECOND = 100


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

    def folders(self, split: str) -> list[tuple[Path, Path]]:
        """Folder of the features and data directory, for each language."""
        return [(self.features / language / split, self.data / language / split) for language in self.languages]


class Material:
    """Training and dev data of some languages.

    Args:
        speech: where they are.
        batch_seconds, seed: length of a batch, and the seed of their order.
        monolingual: whether a batch may hold one language only.
        temperature: of the sampling of languages (`TrainingOptions`); with one, training batches hold one language.
    """

    def __init__(
        self,
        speech: Speech,
        batch_seconds: float,
        seed: int,
        monolingual: bool = False,
        temperature: float | None = None,
    ):
        folders = speech.folders
        self.tokens = speech.tokens
        self.tokenizer = Tokenizer.load(speech.tokens)
        self.features = [features for features, _ in folders("train")]
        self.examples = SpeechExamples(folders("train"), self.tokenizer, speech.speeds)
        budget = int(batch_seconds * FRAMES_PER_SECOND)
        in_turn = len(speech.languages) > 1 and (monolingual or temperature is not None)
        groups = self.examples.languages if in_turn else None
        # The slowest copy of an utterance is the longest.
        lengths = {name: round(length / min(speech.speeds)) for name, length in self.examples.lengths.items()}
        plan = BatchPlan(lengths, budget, seed, groups, self.examples.variants)
        self.plan = Turns(plan, temperature) if in_turn else plan
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


def without_training(
    task: Task,
    record: dict[str, Any],
    material: Material,
    model: torch.nn.Module,
    config: Mapping[str, Any],
    change: Callable[[torch.nn.Module], None],
) -> None:
    """Let `change` change a model in place, and save it with its dev loss as a training of no steps."""
    _check_tokens(material, model)
    started = time.monotonic()
    change(model)
    computing = devices.autocast(task.device, task.options.precision)
    loss = evaluate(model.to(task.device), material.dev, material.dev_batches, task.device, computing)
    row = dict.fromkeys(HISTORY_COLUMNS) | {"step": 0, "dev_loss": loss, "seconds": time.monotonic() - started}
    finish(task, record, model, config, material.tokenizer.tokens, [row])
    record["steps"] = 0


def _check_tokens(material: Material, model: torch.nn.Module) -> None:
    if list(model.token_list) != material.tokenizer.tokens:
        raise SecateurError(
            f"{material.tokens}: not the token list of the model that training starts from; give the one it was "
            "trained on"
        )


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
    _check_tokens(material, model)
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
