"""Train a dense acoustic model on one or several languages of a corpus."""

import argparse
from typing import Any

import torch

from secateur.core.jobs import json_argument
from secateur.models import build_model
from secateur.speech.features import mean_and_std
from secateur.training import acoustic


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=json_argument, required=True, help="JSON: an entry of `models`")
    acoustic.add_arguments(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    material = acoustic.Material(arguments)
    torch.manual_seed(arguments.seed)
    model = build_model(arguments.model, material.tokenizer.tokens)
    mean, std = mean_and_std(material.features)
    model.frontend.mean.copy_(torch.from_numpy(mean))
    model.frontend.std.copy_(torch.from_numpy(std))
    acoustic.fit(arguments, record, material, model, arguments.model)
