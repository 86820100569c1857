"""Prune a trained language model: fewer layers, fewer heads, a mask on the weights; and train on what is left, or not.

Layers are chosen on --dev; importances of heads are estimated on some of --train. The record has the loss of a token of
the dev text, in nats, of the whole model (`whole_loss`), and after pruning (`initial_loss`).
"""

import argparse
import random
from pathlib import Path
from typing import Any

import torch

from secateur.core import devices, flags
from secateur.core.errors import SecateurError
from secateur.core.options import argument
from secateur.heads.options import LmPruningOptions
from secateur.heads.smaller_lm import heads_left, matrices, without_heads, without_layers
from secateur.models.load import load_model, smaller
from secateur.models.surgery.layers import keep_layers, layer_numbers
from secateur.pruning.engines.mask import Mask
from secateur.pruning.engines.ranking import magnitude_mask
from secateur.speech.data import Batch, BatchPlan, TextExamples
from secateur.speech.tokens import Tokenizer, token_files
from secateur.training import command_line
from secateur.training.hooks import TrainingHook
from secateur.training.loop import evaluate
from secateur.training.options import TrainingOptions
from secateur.training.task import finish
from secateur.training.texts import add_texts, learn, transcripts

TOKENS_AT_ONCE = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", type=Path, required=True, help="folder of the trained language model")
    flags.add(parser, LmPruningOptions)
    parser.add_argument("--sentences", type=int, default=200, help="of --train, to estimate importances on")
    parser.add_argument(
        "--training", type=argument(TrainingOptions, "training"), help="JSON: an entry of `training` (none: not at all)"
    )
    add_texts(parser)


class Masked(TrainingHook):
    """Weights that a mask removed stay zero."""

    def __init__(self, model: torch.nn.Module, mask: Mask):
        self.model, self.mask = model, mask

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.mask = self.mask.to(next(model.parameters()).device)

    def after_update(self, step: int, batch: Batch) -> None:
        self.mask.apply_(matrices(self.model))


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    trained, pruned = arguments.training is not None, flags.given(LmPruningOptions, arguments)
    arguments.training = arguments.training or TrainingOptions(steps=1, learning_rate=1.0)
    task, tokenizer = command_line.task(arguments), Tokenizer.load(arguments.tokens)
    loaded = load_model(arguments.start, task.device)
    if not hasattr(loaded.model, "lm") or tokenizer.tokens != loaded.tokens:
        raise SecateurError(f"{arguments.start}: not a language model over {arguments.tokens}; give one that is")
    training = TextExamples(transcripts(arguments.train), tokenizer)
    dev = TextExamples(transcripts(arguments.dev), tokenizer)
    dev_batches = BatchPlan(dev.lengths, TOKENS_AT_ONCE, 0).epoch(0)

    def loss(model: torch.nn.Module) -> float:
        computing = devices.autocast(task.device, task.options.precision)
        return evaluate(model, dev, dev_batches, task.device, computing)

    model = loaded.model
    record["whole_loss"] = loss(model)
    if pruned.layers:
        keep_layers(model, without_layers(model, pruned.layers, loss))
    if pruned.heads:
        without_heads(model, pruned.heads, sample(training, arguments.sentences, arguments.seed))
    hooks = []
    if pruned.sparsity:
        hooks = [Masked(model, magnitude_mask(matrices(model), pruned.sparsity))]
        hooks[0].mask.apply_(matrices(model))
    record |= {"initial_loss": loss(model), "layers": layer_numbers(model), "heads": heads_left(model)}
    history = [{"step": 0, "dev_loss": record["initial_loss"], "utterances": 0, "seconds": 0.0}]
    if trained:
        files = [*token_files(arguments.tokens), *arguments.train, *arguments.dev]
        files.append(arguments.start / "model.safetensors")
        history = learn(task, model, training, dev, files, hooks)
        for hook in hooks:
            hook.mask.to("cpu").check(matrices(model.cpu()))
    finish(task, record, model, smaller(loaded.config, model), loaded.tokens, history)
    record["steps"] = task.options.steps if trained else 0


def sample(examples: TextExamples, count: int, seed: int) -> list[Batch]:
    """Batches of some sentences, drawn at random."""
    names = sorted(examples.lengths)
    chosen = random.Random(seed).sample(names, min(count, len(names)))
    lengths = {name: examples.lengths[name] for name in chosen}
    return [examples.load(keys) for keys in BatchPlan(lengths, TOKENS_AT_ONCE, 0).epoch(0)]
