"""Train a dense model on with intermediate CTC, stochastic depth, or both, which it did not have before.

The record has the dev loss before the first step, without the regularisers (`dense_loss`) and with them
(`initial_loss`): their difference is the jump that intermediate CTC makes.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from secateur import acoustic, devices
from secateur.jobs import job, json_argument
from secateur.layers.regularise import RisingWeight, regularised
from secateur.models import load_model
from secateur.training import evaluate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", type=Path, required=True, help="folder of the trained model")
    parser.add_argument("--intermediate-ctc", type=json_argument, required=True, help="JSON: layers and weight")
    parser.add_argument("--stochastic-depth", type=float, default=0.0, help="the highest rate of skipping a layer")
    parser.add_argument("--rise", type=int, default=0, help="steps in which the weight of intermediate CTC rises")
    acoustic.add_arguments(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    material, start = acoustic.Material(arguments), load_model(arguments.start)
    torch.manual_seed(arguments.seed)
    model, config = regularised(start, arguments.intermediate_ctc, arguments.stochastic_depth)
    start.model.interctc_weight = 0.0
    device = devices.pick(arguments.device)
    autocast = devices.autocast(device, arguments.training["precision"])
    for name, found in (("dense_loss", start.model), ("initial_loss", model)):
        record[name] = evaluate(found.to(device), material.dev, material.dev_batches, device, autocast)
    methods = [RisingWeight(model, arguments.rise)]
    inputs = [arguments.start / "model.safetensors"]
    acoustic.fit(arguments, record, material, model, config, methods, inputs)


if __name__ == "__main__":
    job(__doc__, add_arguments, run)
