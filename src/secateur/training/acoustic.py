"""What all jobs that train an acoustic model share: their arguments, their data, and saving the result."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from secateur.core import devices
from secateur.core.errors import SecateurError
from secateur.core.jobs import json_argument
from secateur.models.specaug import specaug
from secateur.speech.data import BatchPlan, SpeechExamples
from secateur.speech.tokens import Tokenizer, token_files
from secateur.training.loop import STATE, Method, finish, identity, train

FRAMES_PER_SECOND = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `Material` and `fit` read."""
    parser.add_argument("--training", type=json_argument, required=True, help="JSON: an entry of `training`")
    parser.add_argument("--data", type=Path, required=True, help="folder with {language}/{split} data directories")
    parser.add_argument("--features", type=Path, required=True, help="folder with {language}/{split} features")
    parser.add_argument("--speeds", type=float, nargs="+", default=[1.0], help="speeds that the training features hold")
    parser.add_argument("--languages", nargs="+", required=True, help="languages to train on")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt")
    parser.add_argument("--before", type=int, default=0, help="steps of earlier trainings, not to repeat their batches")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")


class Material:
    """Training and dev data of some languages.

    Args:
        arguments: those of `add_arguments`.
        monolingual: whether a batch may hold one language only.
    """

    def __init__(self, arguments: argparse.Namespace, monolingual: bool = False):
        def folders(split: str) -> list[tuple[Path, Path]]:
            return [
                (arguments.features / language / split, arguments.data / language / split)
                for language in arguments.languages
            ]

        self.tokenizer = Tokenizer.load(arguments.tokens)
        self.features = [features for features, _ in folders("train")]
        self.examples = SpeechExamples(folders("train"), self.tokenizer, arguments.speeds)
        budget = int(arguments.training["batch_seconds"] * FRAMES_PER_SECOND)
        groups = self.examples.languages if monolingual else None
        # The slowest copy of an utterance is the longest.
        lengths = {name: round(length / min(arguments.speeds)) for name, length in self.examples.lengths.items()}
        self.plan = BatchPlan(lengths, budget, arguments.seed, groups, self.examples.variants)
        self.dev = SpeechExamples(folders("dev"), self.tokenizer)
        self.dev_batches = BatchPlan(self.dev.lengths, budget, 0, self.dev.languages if monolingual else None).epoch(0)
        self.files = token_files(arguments.tokens)
        for features, data in [*folders("train"), *folders("dev")]:
            self.files += [features / "cmvn.json", data / "text"]


def fit(
    arguments: argparse.Namespace,
    record: dict[str, Any],
    material: Material,
    model: torch.nn.Module,
    config: Mapping[str, Any],
    methods: Sequence[Method] = (),
    inputs: Sequence[Path] = (),
) -> None:
    """Train `model`, save it with its history in `arguments.output`, and note seed, device, steps, seconds.

    Args:
        config: what rebuilds the model.
        inputs: further files that the result depends on: the checkpoint that training starts from, masks.

    Raises SecateurError if the model has another token list than the data.
    """
    options, device = arguments.training, devices.pick(arguments.device)
    if list(model.token_list) != material.tokenizer.tokens:
        raise SecateurError(
            f"{arguments.tokens}: not the token list of the model that training starts from; give the one it was "
            "trained on"
        )
    model.specaug = specaug(options["specaug"])
    values = {name: str(value) for name, value in vars(arguments).items() if name not in ("output", "run_json")}
    history = train(
        model,
        material.examples,
        material.plan.step,
        (material.dev, material.dev_batches),
        options,
        arguments.seed,
        device,
        arguments.output / STATE,
        identity(values, [*material.files, *inputs]),
        methods,
        arguments.before,
    )
    finish(arguments, record, model, config, material.tokenizer.tokens, history)
