"""Train a dense acoustic model on one or several languages of a corpus."""

import argparse
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.core.jobs import json_argument
from secateur.models.build import build_model
from secateur.models.checkpoint import read_checkpoint
from secateur.speech.features import mean_and_std
from secateur.training import acoustic, command_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=json_argument, required=True, help="JSON: an entry of `models`")
    parser.add_argument("--start", type=Path, help="folder of a trained model whose encoder and CTC head to start from")
    command_line.add_arguments(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    task = command_line.task(arguments)
    material = command_line.material(arguments)
    torch.manual_seed(task.seed)
    model = build_model(arguments.model, material.tokenizer.tokens)
    mean, std = mean_and_std(material.features)
    model.frontend.mean.copy_(torch.from_numpy(mean))
    model.frontend.std.copy_(torch.from_numpy(std))
    inputs = [arguments.start / "model.safetensors"] if arguments.start else []
    if arguments.start:
        take_over(model, arguments.start)
    acoustic.fit(task, record, material, model, arguments.model, inputs=inputs)


def take_over(model: torch.nn.Module, start: Path) -> None:
    """Give `model` the trained tensors of the model in the folder `start`, where both have them.

    Raises SecateurError if they have not all of the encoder in common, and for another token list.
    """
    trained = read_checkpoint(start)
    if list(model.token_list) != trained.tokens:
        raise SecateurError(f"{start}: has another token list; start from a model that was trained on this corpus")
    ours, theirs = model.state_dict(), trained.tensors
    common = {name: value for name, value in theirs.items() if name in ours and ours[name].shape == value.shape}
    for name in sorted(ours.keys() | theirs.keys()):
        if name.startswith("encoder.") and name not in common:
            raise SecateurError(
                f"{start}: {name} is {_size(theirs, name)} there and {_size(ours, name)} here; start from a model with "
                "the same encoder"
            )
    model.load_state_dict(common, strict=False)


def _size(tensors: dict[str, torch.Tensor], name: str) -> str:
    return " × ".join(map(str, tensors[name].shape)) if name in tensors else "missing"
