"""Train a dense acoustic model on one or several languages of a corpus."""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch

from secateur import devices
from secateur.data import BatchPlan, SpeechExamples
from secateur.features import mean_and_std
from secateur.jobs import job, json_argument
from secateur.models import build_model, save_model
from secateur.models.specaug import specaug
from secateur.tokens import Tokenizer
from secateur.training import identity, train, write_history

FRAMES_PER_SECOND = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=json_argument, required=True, help="JSON: an entry of `models`")
    parser.add_argument("--training", type=json_argument, required=True, help="JSON: an entry of `training`")
    parser.add_argument("--data", type=Path, required=True, help="folder with {language}/{split} data directories")
    parser.add_argument("--features", type=Path, required=True, help="folder with {language}/{split} features")
    parser.add_argument("--speeds", type=float, nargs="+", default=[1.0], help="speeds that the training features hold")
    parser.add_argument("--languages", nargs="+", required=True, help="languages to train on")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device = devices.pick(arguments.device)
    options = arguments.training
    tokenizer = Tokenizer.load(arguments.tokens)

    def folders(split: str) -> list[tuple[Path, Path]]:
        return [
            (arguments.features / language / split, arguments.data / language / split)
            for language in arguments.languages
        ]

    training = SpeechExamples(folders("train"), tokenizer, arguments.speeds)
    dev = SpeechExamples(folders("dev"), tokenizer)
    budget = int(options["batch_seconds"] * FRAMES_PER_SECOND)
    plan = BatchPlan(training.lengths, budget, arguments.seed, variants=training.variants)
    dev_batches = BatchPlan(dev.lengths, budget, 0).epoch(0)

    torch.manual_seed(arguments.seed)
    model = build_model(arguments.model, tokenizer.tokens)
    mean, std = mean_and_std([features for features, _ in folders("train")])
    model.frontend.mean.copy_(torch.from_numpy(mean))
    model.frontend.std.copy_(torch.from_numpy(std))
    model.specaug = specaug(options["specaug"])

    state = arguments.output / "resume"
    inputs = [arguments.tokens]
    for features, data in [*folders("train"), *folders("dev")]:
        inputs += [features / "cmvn.json", data / "text"]
    values = [arguments.model, options, arguments.languages, arguments.speeds, arguments.seed, arguments.code]
    me = identity(values, inputs)
    history = train(model, training, plan.step, (dev, dev_batches), options, arguments.seed, device, state, me)
    save_model(arguments.output, model, arguments.model, tokenizer.tokens)
    write_history(arguments.output / "history.tsv", history)
    shutil.rmtree(state)
    record |= {"seed": arguments.seed, "device": str(device), "steps": options["steps"]}
    record["seconds"] = history[-1]["seconds"]  # of all the pieces of a run that was killed and went on


if __name__ == "__main__":
    job(__doc__, add_arguments, run)
