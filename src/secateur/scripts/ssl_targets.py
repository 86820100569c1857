"""Make the targets of masked prediction: cluster frames, of MFCCs or of a layer, and label all of them."""

import argparse
import importlib
import random
from pathlib import Path
from typing import Any

import torch

from secateur.core import devices, flags
from secateur.core.files import write_json
from secateur.models.tensors import save_tensors
from secateur.ssl import clusters
from secateur.ssl.checkpoints import load_encoder
from secateur.ssl.options import TargetOptions
from secateur.ssl.study import GUIDES
from secateur.ssl.waves import WaveExamples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="data directories to cluster and label")
    parser.add_argument("--dev", type=Path, nargs="*", default=[], help="data directories to label only")
    parser.add_argument("--hop", type=int, default=320, help="samples from one target to the next, but of --encoder")
    layered = parser.add_mutually_exclusive_group()
    layered.add_argument("--encoder", type=Path, help="folder of an encoder, whose layer is clustered instead of MFCCs")
    layered.add_argument("--guide", type=Path, help="folder of an acoustic model, whose layer is clustered instead")
    flags.add(parser, TargetOptions)
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to compute")
    parser.add_argument("--output", type=Path, required=True, help="folder for targets.ark and targets.scp")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device, options = devices.pick(arguments.device), flags.given(TargetOptions, arguments)
    if arguments.encoder:
        encoder = load_encoder(arguments.encoder, device)
        layer = options.layer or (len(encoder.config.shapes) + 1) // 2
        frames = clusters.layer_frames(encoder, layer, device)
        record["layer"] = layer
    elif arguments.guide:
        guides = importlib.import_module(GUIDES)
        frames, record["layer"] = guides.frames_of(arguments.guide, options.layer, arguments.hop, device)
    else:
        frames = clusters.mfcc_frames(arguments.hop)
    training, everything = WaveExamples(arguments.train), WaveExamples([*arguments.train, *arguments.dev])
    drawn = random.Random(arguments.seed).sample(sorted(training.lengths), len(training.lengths))
    batches = clusters.in_batches(training.read, training.lengths, drawn)
    sample = clusters.sampled(batches, frames, options.frames).to(device)
    centres, history = clusters.kmeans(sample, options.clusters, arguments.seed)

    names = sorted(everything.lengths, key=lambda name: (everything.lengths[name], name))
    batches = clusters.in_batches(everything.read, everything.lengths, names)
    counts = clusters.write_targets(arguments.output, batches, frames, centres)
    save_tensors(arguments.output / "centres.safetensors", {"centres": centres})
    shares = torch.from_numpy(counts / counts.sum())
    record |= {
        "device": str(device),
        "seed": arguments.seed,
        "frames": int(counts.sum()),
        "distance": history[-1],
        "iterations": len(history),
        "perplexity": float(torch.special.entr(shares).sum().exp()),
    }
    write_json(arguments.output / "clusters.json", {"distances": history, "counts": counts.tolist()})
