"""Greedy search for layers: ours against the naive way, which runs every candidate from the features on.

Layer-forwards are counted, one layer on one batch each; the seconds are CPU seconds (wall-clock on a GPU) and only
their ratios mean anything on a shared machine. What the search costs depends on the order of removal, and so on the
model: for each depth, a narrow Transformer is first trained for a little while with stochastic depth and intermediate
CTC, to spell words of made-up sounds. Later layers then are the safe ones, and cheaper. With --p-max 0 it is trained
without, and with --steps 0 not at all.

Both ways have to remove the same layers and find the same losses. `1 batch` is ours with no more memory than one batch
takes.

    python benchmarks/layer_search.py --layers 12 24 --at-most 0.35
"""

import argparse
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from secateur.core import devices
from secateur.layers.search import MEMORY, Dev, search
from secateur.models.build import build_model
from secateur.speech.data import Batch, pad
from secateur.speech.tokens import Tokenizer
from secateur.training.loop import train
from secateur.training.options import TrainingOptions

BINS = 20
LETTERS = "abcdefghijklmnopqrstuvwxyz "
TOKENS = ["<blank>", "<unk>", "<space>", *LETTERS.strip(), "<sos/eos>"]
TRAINING = TrainingOptions(
    steps=1,
    accumulate=1,
    learning_rate=2e-3,
    weight_decay=0.01,
    warmup=100,
    schedule="cosine",
    clip=5.0,
    precision="float32",
    average_best=0,
    checkpoint_seconds=1e9,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, nargs="+", default=[12, 24], help="depths (default: 12 24)")
    parser.add_argument("--p-max", type=float, default=0.3, help="of stochastic depth (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=400, help="of training (default: %(default)s)")
    parser.add_argument("--utterances", type=int, default=60, help="of dev data (default: %(default)s)")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--at-most", type=float, help="exit with status 1 if a ratio of layer-forwards is above")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger().setLevel(logging.ERROR)  # ESPnet warns of what is meant to be
    torch.set_num_threads(1)
    device = devices.pick(arguments.device)
    ratios = [compare(layers, arguments, device) for layers in arguments.layers]
    if arguments.at_most and max(ratios) > arguments.at_most:
        sys.exit(f"a ratio of layer-forwards is above {arguments.at_most}")


def compare(layers: int, arguments: argparse.Namespace, device: torch.device) -> float:
    """Search a model of so many layers in all ways and print what they cost; ours over naive, in layer-forwards."""
    sounds = Sounds(arguments.utterances, seed=1)
    names = sorted(sounds.features, key=lambda name: len(sounds.features[name]))
    batches = [names[start : start + 10] for start in range(0, len(names), 10)]
    model = trained(layers, arguments, (sounds, batches), device)
    dev = Dev(sounds, batches, sounds.texts, Tokenizer(TOKENS))
    clock = time.process_time if device.type == "cpu" else time.perf_counter

    def ours(memory: int) -> tuple[list[int], list[float], int]:
        found = search(model, "greedy", dev, memory=memory)
        return (
            found["order_removed"],
            [depth["dev_loss"] for depth in found["depths"].values()],
            found["layer_forwards"],
        )

    ways: dict[str, Callable[[], tuple[list[int], list[float], int]]] = {
        "ours": lambda: ours(MEMORY),
        "ours, 1 batch": lambda: ours(0),
        "naive": lambda: naive(model, dev, device),
    }
    results, seconds = {}, {}
    for way, run in ways.items():
        started = clock()
        results[way] = run()
        seconds[way] = clock() - started

    order, losses, forwards = results["naive"]
    print(
        f"\n{layers} layers, {arguments.steps} steps with p_max {arguments.p_max:g}, {len(batches)} batches, {device}"
    )
    print(f"removed: {' '.join(map(str, order))}; dev loss {losses[0]:.2f} at depth {layers}, ", end="")
    print(f"{losses[layers // 2]:.2f} at depth {layers - layers // 2}, {losses[-1]:.2f} at depth 1")
    print(f"{'':15}{'layer-forwards':>15}{'of naive':>10}{'seconds':>10}{'of naive':>10}")
    for way, (_, _, count) in results.items():
        share = seconds[way] / seconds["naive"]
        print(f"{way:15}{count:15}{count / forwards:10.3f}{seconds[way]:10.2f}{share:10.3f}")
    for way, (other, found, _) in results.items():
        if other != order:
            sys.exit(f"{way}: removes {other}")
        if max(abs(one - two) for one, two in zip(found, losses, strict=True)) > 1e-5:
            sys.exit(f"{way}: the losses differ")
    return results["ours"][2] / forwards


@torch.inference_mode()
def naive(model: torch.nn.Module, dev: Dev, device: torch.device) -> tuple[list[int], list[float], int]:
    """The order of removal, the losses of all depths, and the layer-forwards of a search without any sharing."""
    encoder, forwards = model.encoder, 0
    layers = dict(enumerate(encoder.encoders, 1))

    def loss(kept: list[int]) -> float:
        nonlocal forwards
        encoder.encoders = torch.nn.ModuleList([layers[number] for number in kept])
        total = 0.0
        for utterances in dev.batches:
            tensors = {name: tensor.to(device) for name, tensor in dev.examples.load(utterances).tensors.items()}
            encoder_out, lengths = model.encode(tensors["speech"], tensors["speech_lengths"])
            encoder_out = encoder_out[0] if isinstance(encoder_out, tuple) else encoder_out
            mean = model.ctc(encoder_out, lengths, tensors["text"], tensors["text_lengths"])
            total += mean.item() * len(utterances)
            forwards += len(kept)
        return total / sum(map(len, dev.batches))

    kept, order = list(layers), []
    losses = [loss(kept)]
    while len(kept) > 1:
        found = {layer: loss([other for other in kept if other != layer]) for layer in kept}
        order.append(min(kept, key=lambda layer: (found[layer], -layer)))
        losses.append(found[order[-1]])
        kept.remove(order[-1])
    encoder.encoders = torch.nn.ModuleList(layers.values())
    return order, losses, forwards


def trained(
    layers: int, arguments: argparse.Namespace, dev: tuple["Sounds", list[list[str]]], device: torch.device
) -> torch.nn.Module:
    """A CTC Transformer, 48 wide, after a little training."""
    config = {
        "type": "ctc",
        "features": BINS,
        "input": "stack",
        "stack": 3,
        "encoder": {
            "type": "transformer",
            "layers": layers,
            "dim": 48,
            "heads": 4,
            "ffn": 192,
            "dropout": 0.0,
            "attention_dropout": 0.0,
        },
        "intermediate_ctc": {"layers": [layers // 2] if arguments.p_max else [], "weight": 0.3},
        "stochastic_depth": arguments.p_max,
    }
    torch.manual_seed(0)
    model = build_model(config, TOKENS)
    examples = Sounds(600, seed=2)
    names = list(examples.features)

    def plan(step: int) -> list[str]:
        return [names[index] for index in np.random.default_rng(step).integers(len(names), size=8)]

    options = replace(TRAINING, steps=arguments.steps, evaluate_every=max(1, arguments.steps))
    with tempfile.TemporaryDirectory() as folder:
        train(model, examples, plan, dev, options, 1, device, Path(folder), "")
    return model


class Sounds:
    """Made-up speech, two to four words of 60, each letter 5 to 10 frames of a sound of the speaker's, and noise."""

    def __init__(self, utterances: int, seed: int):
        language = np.random.default_rng(0)
        words = ["".join(language.choice(list(LETTERS[:-1]), language.integers(2, 6))) for _ in range(60)]
        sounds = language.standard_normal((3, len(LETTERS), BINS))
        generator = np.random.default_rng(seed)
        self.texts: dict[str, str] = {}
        self.features: dict[str, torch.Tensor] = {}
        for index in range(utterances):
            text = " ".join(generator.choice(words, generator.integers(2, 5)))
            frames = [LETTERS.index(letter) for letter in text for _ in range(generator.integers(5, 11))]
            matrix = sounds[generator.integers(3)][frames] + 1.2 * generator.standard_normal((len(frames), BINS))
            self.texts[f"u{index:04d}"] = text
            self.features[f"u{index:04d}"] = torch.tensor(matrix, dtype=torch.float32)

    def load(self, keys: list[str]) -> Batch:
        targets = [torch.tensor(Tokenizer(TOKENS).encode(self.texts[key])) for key in keys]
        features = [self.features[key] for key in keys]
        tensors = {
            "speech": pad(features, 0.0),
            "speech_lengths": torch.tensor([len(matrix) for matrix in features]),
            "text": pad(targets, -1),
            "text_lengths": torch.tensor([len(target) for target in targets]),
        }
        return Batch(list(keys), [""] * len(keys), tensors)


if __name__ == "__main__":
    main()
