"""Time of a training step under masks, over that of the dense model.

Each way to train goes through `secateur.training.loop.train`, with a CTC model of the zoo and its training,
on made-up speech in two languages, whose batches are monolingual:

- fixed: IMP, LTH and LAP within a level.
- adaptive, straight-through: the mask adapts every --every steps.
- pathways, dynamic: one mask per language; in `dynamic` a language's mask adapts every --every steps of its own.
- torch.nn.utils.prune: torch's own masks (`custom_from_mask`) on every prunable weight, fixed.

Only ratios mean anything on a shared machine: the ways take turns of a few steps, going on from the state that their
last turn saved; a step is compared with the dense step of the same batch, by CPU seconds (wall-clock on a GPU). The
columns are medians over the steps in which no mask adapts, over those in which one does, and the average of both that
--every makes. The first two steps of every turn are left out: they load the state.

    python benchmarks/masking.py                # about three minutes on one core
    python benchmarks/masking.py --ways dense fixed pathways --every 10
"""

import argparse
import copy
import logging
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from snakemake.utils import update_config
from torch.nn.utils import prune

from secateur.config.complete import complete
from secateur.core import devices
from secateur.core.options import read
from secateur.models.build import build_model
from secateur.models.specaug import specaug
from secateur.pruning.engines.adaptive import AdaptiveMask
from secateur.pruning.engines.calendar import Calendar
from secateur.pruning.engines.dynamic import DynamicPathways, Softly
from secateur.pruning.engines.fixed import FixedMask
from secateur.pruning.engines.mask import Mask, prunable, weights
from secateur.pruning.engines.pathways import Pathways
from secateur.pruning.engines.ranking import magnitude_mask
from secateur.speech.data import IGNORED, Batch, BatchPlan, pad
from secateur.training.hooks import TrainingHook
from secateur.training.loop import train
from secateur.training.options import TrainingOptions

ROOT = Path(__file__).resolve().parents[1]
TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz'", "<sos/eos>"]
LANGUAGES = ("en", "fr")
CHARACTERS_PER_SECOND = 14.6  # as LibriSpeech has
SOUND = 5  # frames of features that are alike
TURN = 10  # steps
LEFT_OUT = 2  # first steps of a turn
UTTERANCES = 200  # of each language
AIMS = {"fixed": 1.03, "adaptive": 1.05}


class Speech:
    """Made-up utterances of one to six seconds, as `secateur.speech.data.SpeechExamples` would give them."""

    def __init__(self, bins: int):
        generator = np.random.default_rng(0)
        self.lengths, self.languages, self._rows = {}, {}, {}
        for language in LANGUAGES:
            for index in range(UTTERANCES):
                name, frames = f"{language}{index}", int(generator.integers(100, 600))
                sounds = generator.standard_normal((frames // SOUND + 1, bins)).repeat(SOUND, axis=0)[:frames]
                speech = sounds + 0.1 * generator.standard_normal((frames, bins))
                text = generator.integers(2, len(TOKENS) - 1, round(CHARACTERS_PER_SECOND * frames / 100))
                self.lengths[name], self.languages[name] = frames, language
                self._rows[name] = torch.from_numpy(speech.astype(np.float32)), torch.from_numpy(text)

    def load(self, keys: Sequence[str]) -> Batch:
        speech, text = zip(*(self._rows[key] for key in keys), strict=True)
        tensors = {"speech": pad(speech, 0.0), "speech_lengths": torch.tensor([len(matrix) for matrix in speech])}
        tensors |= {"text": pad(text, IGNORED), "text_lengths": torch.tensor([len(target) for target in text])}
        return Batch(list(keys), [self.languages[key] for key in keys], tensors)


class Clock(TrainingHook):
    """The last of the methods: the time when every step ends."""

    def __init__(self, device: torch.device):
        self.device, self.ends = device, []

    def after_update(self, step: int, batch: Batch) -> None:
        if self.device.type == "cpu":
            self.ends.append(time.process_time())
        else:
            torch.cuda.synchronize(self.device)
            self.ends.append(time.perf_counter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ctc-multilingual", help="a ctc model of the study pretrain (%(default)s)")
    parser.add_argument("--sparsity", type=float, default=0.7, help="share that is pruned (default: %(default)s)")
    parser.add_argument("--every", type=int, default=50, help="steps between adaptations (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=200, help="steps of each way (default: %(default)s)")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="what to run (default: all)")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--check", action="store_true", help="exit with status 1 if an aim is missed")
    arguments = parser.parse_args()
    if arguments.steps % TURN or arguments.every % TURN or arguments.steps < 2 * arguments.every:
        parser.error(f"--steps and --every: wanted multiples of {TURN}, and at least two adaptations")
    if "dense" not in arguments.ways:
        parser.error("--ways: the others are compared with dense; name it, too")
    torch.set_num_threads(1)
    logging.getLogger().setLevel(logging.ERROR)

    entry, options = recipe(arguments.model)
    options = replace(options, average_best=0, evaluate_every=arguments.steps, checkpoint_seconds=86400)
    torch.manual_seed(0)
    dense = build_model(entry, TOKENS)
    dense.specaug = specaug(**vars(options.specaug))
    device = devices.pick(arguments.device)
    examples = Speech(entry["features"])
    with tempfile.TemporaryDirectory() as folder:
        times = measure(dense, examples, options, device, arguments, Path(folder))
    total = sum(weight.numel() for weight in weights(dense).values())
    print(
        f"{arguments.model}: {total} prunable weights, batches of {options.batch_seconds:g} s, sparsity "
        f"{arguments.sparsity:g}, adaptation every {arguments.every} steps, {arguments.steps} steps, {device}"
    )
    missed = report(times, arguments.every)
    if arguments.check and missed:
        sys.exit(f"over the aim: {', '.join(missed)}")


def recipe(model: str, **more: Any) -> tuple[dict[str, Any], TrainingOptions]:
    """The entry of a model of the study `pretrain`, which trains the zoo, and its training with `more`."""
    study: dict[str, Any] = {}
    for file in ("config.yaml", "workflow/studies/pretrain.yaml"):
        update_config(study, yaml.safe_load((ROOT / file).read_text(encoding="utf-8")))
    study = complete(study)
    entry = study["models"][model] | {"features": study["features"]["mel_bins"]}
    return entry, read(TrainingOptions, study["training"][entry["training"]] | more)


def measure(
    dense: torch.nn.Module,
    examples: Speech,
    options: TrainingOptions,
    device: torch.device,
    arguments: argparse.Namespace,
    folder: Path,
) -> dict[str, dict[int, tuple[float, bool]]]:
    """Train in all ways, in turns: by way and step, its seconds and whether a mask adapted in it."""
    plan = BatchPlan(examples.lengths, int(100 * options.batch_seconds), 1, examples.languages)
    dev = examples, [[f"{language}0"] for language in LANGUAGES]
    times: dict[str, dict[int, tuple[float, bool]]] = {way: {} for way in arguments.ways}
    for start in range(0, arguments.steps, TURN):
        turn = start // TURN % len(arguments.ways)
        for way in arguments.ways[turn:] + arguments.ways[:turn]:
            model = copy.deepcopy(dense)
            method = WAYS[way](model, arguments)
            methods, clock = [method] if method else [], Clock(device)
            until = replace(options, steps=start + TURN)
            train(model, examples, plan.step, dev, until, 1, device, folder / way, way, [*methods, clock])
            adapted = {row[0] - 1 for row in getattr(method, "log", [])}
            for index in range(LEFT_OUT, TURN):
                step = start + index
                times[way][step] = clock.ends[index] - clock.ends[index - 1], step in adapted
    return times


def torch_prune(model: torch.nn.Module, arguments: argparse.Namespace) -> None:
    """Mask the model with torch's own means."""
    for name, bits in magnitude_mask(model, arguments.sparsity).items():
        module, _, parameter = name.rpartition(".")
        prune.custom_from_mask(model.get_submodule(module), parameter, bits)


def language_masks(model: torch.nn.Module, arguments: argparse.Namespace) -> dict[str, Mask]:
    """Masks that share about half of their weights, as those of two languages do."""
    generator = torch.Generator().manual_seed(0)

    def noisy(weight: torch.Tensor) -> torch.Tensor:
        return weight + weight.std() * torch.randn(weight.shape, generator=generator)

    prunable_weights = weights(model, prunable(model))
    return {
        language: magnitude_mask({name: noisy(weight) for name, weight in prunable_weights.items()}, arguments.sparsity)
        for language in LANGUAGES
    }


def adaptive(soft: str) -> Callable[[torch.nn.Module, argparse.Namespace], TrainingHook]:
    def make(model: torch.nn.Module, arguments: argparse.Namespace) -> TrainingHook:
        mask = magnitude_mask(model, arguments.sparsity)
        calendar = Calendar([arguments.sparsity], arguments.steps, arguments.every)
        return AdaptiveMask(mask, calendar, how=Softly(soft))

    return make


def dynamic(model: torch.nn.Module, arguments: argparse.Namespace) -> TrainingHook:
    # One level: that all languages step up at its end happens too rarely to matter.
    calendar = Calendar([arguments.sparsity], arguments.steps + 1, arguments.every)
    return DynamicPathways(language_masks(model, arguments), calendar)


# What takes part in training; it may change the model.
WAYS: dict[str, Callable[[torch.nn.Module, argparse.Namespace], TrainingHook | None]] = {
    "dense": lambda model, arguments: None,
    "fixed": lambda model, arguments: FixedMask(magnitude_mask(model, arguments.sparsity)),
    "adaptive": adaptive("regrow"),
    "straight-through": adaptive("straight_through"),
    "pathways": lambda model, arguments: Pathways(language_masks(model, arguments), arguments.steps + 1),
    "dynamic": dynamic,
    "torch.nn.utils.prune": torch_prune,
}


def report(times: dict[str, dict[int, tuple[float, bool]]], every: int) -> list[str]:
    """Print the ratios; return the ways that miss their aims."""
    print(f"{'':22} {'ms':>7} {'over dense':>11} {'if it adapts':>13} {'on average':>11}   aim")
    missed = []
    for way, steps in times.items():
        ratios: dict[bool, list[float]] = {False: [], True: []}
        for step, (seconds, adapted) in steps.items():
            ratios[adapted].append(seconds / times["dense"][step][0])
        mean = plain = statistics.median(ratios[False])
        adapting = ""
        if ratios[True]:
            mean += (statistics.median(ratios[True]) - plain) / every
            adapting = f"{statistics.median(ratios[True]):.3f}"
        milliseconds = 1000 * statistics.median(seconds for seconds, _ in steps.values())
        aim = f"≤ {AIMS[way]}" if way in AIMS else ""
        print(f"{way:22} {milliseconds:7.1f} {plain:11.3f} {adapting:>13} {mean:11.3f}   {aim}")
        if mean > AIMS.get(way, math.inf):
            missed.append(way)
    return missed


if __name__ == "__main__":
    main()
