"""Pretrain an encoder by masked prediction of clustered targets: one iteration, as HuBERT and WavLM do it."""

import argparse
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.core.jobs import json_argument
from secateur.core.options import argument
from secateur.models.upstream.config import EncoderConfig
from secateur.models.upstream.encoder import Encoder
from secateur.ssl import command_line, fitting
from secateur.ssl.checkpoints import load_encoder, save_encoder
from secateur.ssl.clusters import read_targets
from secateur.ssl.options import PredictionOptions
from secateur.ssl.pretraining import MaskedPrediction
from secateur.training import command_line as training_line

HEAD = "JSON: `clusters`, and what `pretraining` in a study has of masks, codewords and the loss"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoder", type=json_argument, required=True, help="JSON: sizes, under Hugging Face's names")
    parser.add_argument("--head", type=argument(PredictionOptions, "head"), required=True, help=HEAD)
    parser.add_argument("--targets", type=Path, required=True, help="folder of the targets")
    parser.add_argument("--start", type=Path, help="folder of an encoder to go on from (random weights)")
    command_line.add_arguments(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    config = EncoderConfig.from_dict(arguments.encoder, "--encoder")
    torch.manual_seed(arguments.seed)
    encoder = load_encoder(arguments.start) if arguments.start else Encoder(config)
    if encoder.config != config:
        raise SecateurError(f"{arguments.start}: its sizes are not those of --encoder; give the configuration it has")
    model = MaskedPrediction(encoder, arguments.head)
    inputs = [arguments.targets / "clusters.json"]
    inputs += [arguments.start / "model.safetensors"] if arguments.start else []
    targets = read_targets(arguments.targets)
    task, waves = training_line.task(arguments), command_line.waves(arguments)
    fitting.fit(task, record, waves, model, encoder.config, inputs=inputs, targets=targets)
    save_encoder(arguments.output, encoder)
